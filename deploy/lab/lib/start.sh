# shellcheck shell=bash
# Starts the components in the order of their needs and waits until a pod could be served.

start_all() {
  local binary
  for binary in "${KUBERNETES_BINARIES[@]}" coredns pause; do
    [ -x "$BIN/$binary" ] || fail "$binary is missing; first: deploy/lab/cluster build"
  done
  running kubelet kubelet > /dev/null && fail "already up"
  make_certificates
  configure_all
  note_host
  start_network
  start_runtime
  start_control_plane
  start_node
  start_dns
  kubectl get nodes
}

# Some paths outside $LAB are fixed in the binaries, and the network plugin makes tables of rules; what is not there
# yet is ours to remove.
note_host() {
  local folder
  [ -f "$LAB/made" ] && return
  if ip link show cni0 > /dev/null 2>&1 || nft list table ip kube-proxy > /dev/null 2>&1; then
    fail "this host has a bridge cni0 or kube-proxy's rules already: another Kubernetes runs here, and would be broken"
  fi
  for folder in /run/containerd /run/netns /var/lib/cni /var/lib/kubelet /var/log/containers; do
    [ -e "$folder" ] || echo "$folder"
  done > "$LAB/made"
  nft list tables > "$LAB/tables"
}

start_network() {
  [ -f "$LAB/ip_forward" ] || cat /proc/sys/net/ipv4/ip_forward > "$LAB/ip_forward"
  echo 1 > /proc/sys/net/ipv4/ip_forward
  ip link show lab0 > /dev/null 2>&1 && return
  ip link add lab0 type bridge
  ip addr add "$NODE_IP/24" dev lab0
  ip link set lab0 up
}

start_runtime() {
  spawn containerd containerd -c "$LAB/containerd.toml"
  as_service containerd
  wait_for ctr -a "$CONTAINERD" version
  load_image lab/pause:1 /pause -- "$BIN/pause=/pause"
  load_image lab/coredns:1 /coredns -- "$BIN/coredns=/coredns"
  make_busybox
  load_image lab/busybox:1 /bin/sh -- "$LAB/busybox=/bin"
}

make_busybox() {
  [ -x "$LAB/busybox/busybox" ] && return
  mkdir -p "$LAB/busybox"
  local applet
  for applet in $(busybox --list); do ln -sf busybox "$LAB/busybox/$applet"; done
  rm -f "$LAB/busybox/busybox"
  cp "$(command -v busybox)" "$LAB/busybox/busybox"
}

start_control_plane() {
  local rate=()
  [ -z "${TAPIO_LAB_QPS:-}" ] || rate=(--kube-api-qps "$TAPIO_LAB_QPS" --kube-api-burst "$((2 * TAPIO_LAB_QPS))")
  spawn etcd etcd --data-dir "$LAB/etcd" --unsafe-no-fsync --listen-peer-urls http://127.0.0.1:12380 \
    --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD"
  spawn apiserver kube-apiserver --etcd-servers "$ETCD" --advertise-address "$NODE_IP" --secure-port 6443 \
    --service-cluster-ip-range "$SERVICE_NET" --authorization-mode Node,RBAC --allow-privileged=true \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" --client-ca-file "$PKI/ca.crt" \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$PKI/accounts.pub" \
    --service-account-signing-key-file "$PKI/accounts.key" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$PKI/admin.crt" --kubelet-client-key "$PKI/admin.key"
  wait_for kubectl get --raw /readyz
  spawn controllers kube-controller-manager --kubeconfig "$LAB/controllers.kubeconfig" --leader-elect=false \
    --service-account-private-key-file "$PKI/accounts.key" --root-ca-file "$PKI/ca.crt" \
    --use-service-account-credentials "${rate[@]}"
  spawn scheduler kube-scheduler --kubeconfig "$LAB/scheduler.kubeconfig" --leader-elect=false "${rate[@]}"
}

start_node() {
  spawn kubelet kubelet --config "$LAB/kubelet.yaml" --kubeconfig "$LAB/kubelet.kubeconfig" \
    --hostname-override "$NODE" --node-ip "$NODE_IP" --root-dir "$LAB/kubelet"
  as_service kubelet
  spawn proxy kube-proxy --config "$LAB/proxy.yaml"
  wait_for kubectl get serviceaccount default
  kubectl wait --for=create "node/$NODE" --timeout=60s > /dev/null
  kubectl wait --for=condition=Ready "node/$NODE" --timeout=60s > /dev/null
}

start_dns() {
  kubectl apply -f "$here/coredns.yaml" > /dev/null
  kubectl -n kube-system rollout status deployment/coredns --timeout=60s > /dev/null
}
