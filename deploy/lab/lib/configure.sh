# shellcheck shell=bash
# The components' configuration files; all their state goes below $LAB.

configure_all() {
  mkdir -p "$LOG" "$RUN" "$LAB/cni"
  configure_containerd
  configure_network
  configure_kubelet
  configure_proxy
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may lower its score, and pods would not start.
configure_containerd() {
  containerd config default | sed \
    -e "s|/var/lib/containerd|$LAB/containerd|" \
    -e "s|/run/containerd|$RUN|" \
    -e "s|/opt/containerd|$LAB/opt|" \
    -e "s|/etc/cni/net.d|$LAB/cni|" \
    -e 's|bin_dir = .*|bin_dir = "/usr/lib/cni"|' \
    -e 's|sandbox_image = .*|sandbox_image = "lab/pause:1"|' \
    -e 's|restrict_oom_score_adj = .*|restrict_oom_score_adj = true|' > "$LAB/containerd.toml"
}

configure_network() {
  cat > "$LAB/cni/10-bridge.conflist" <<J
{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {"type": "host-local", "dataDir": "$LAB/ipam", "ranges": [[{"subnet": "$POD_NET"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
J
}

configure_kubelet() {
  cat > "$LAB/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$CONTAINERD
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
podLogsDir: $LOG/pods
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
Y
}

configure_proxy() {
  cat > "$LAB/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $LAB/proxy.kubeconfig}
mode: nftables
clusterCIDR: $POD_NET
hostnameOverride: $NODE
Y
}
