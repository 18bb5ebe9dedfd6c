# shellcheck shell=bash
# Stops everything and removes what it left: first what makes pods, then the pods, then what runs them.

stop_all() {
  [ -f "$LAB/made" ] || return 0 # nothing was started here: what runs is somebody else's
  mkdir -p "$LOG"
  stop scheduler kube-scheduler
  stop controllers kube-controller-manager
  if running kubelet kubelet > /dev/null; then remove_pods; fi
  stop proxy kube-proxy
  stop kubelet kubelet
  stop apiserver kube-apiserver
  stop etcd etcd
  stop_runtime
  remove_services
  remove_network
  remove_state
}

# The kubelet takes the pods down itself, so that the network plugin's rules and addresses go with them.
remove_pods() {
  kubectl delete pods --all-namespaces --all --grace-period=1 --wait=false > /dev/null 2>&1 || true
  local tries=0
  while [ -n "$(ctr -a "$CONTAINERD" -n k8s.io tasks ls -q 2> /dev/null)" ] && [ "$tries" -lt 80 ]; do
    tries=$((tries + 1))
    sleep 0.25
  done
}

stop_runtime() {
  local task shim
  if running containerd containerd > /dev/null; then
    for task in $(ctr -a "$CONTAINERD" -n k8s.io tasks ls -q 2> /dev/null); do
      ctr -a "$CONTAINERD" -n k8s.io tasks kill -s KILL "$task" 2> /dev/null || true
    done
  fi
  stop containerd containerd
  for shim in $(pgrep -f "containerd-shim.*-address $CONTAINERD"); do
    kill "$shim" 2> /dev/null || true
    wait_for gone "$shim"
  done
}

remove_services() {
  local group
  for group in /sys/fs/cgroup{,/memory,/unified}/system.slice/{kubelet,containerd}.service; do
    if [ -d "$group" ]; then rmdir "$group" 2> /dev/null || true; fi
  done
}

remove_network() {
  ip link del cni0 2> /dev/null || true
  ip link del lab0 2> /dev/null || true
  remove_tables
  if [ -f "$LAB/ip_forward" ]; then cat "$LAB/ip_forward" > /proc/sys/net/ipv4/ip_forward; fi
}

# kube-proxy's own tables, and the tables that were not there before and have no rule any more.
remove_tables() {
  nft delete table ip kube-proxy 2> /dev/null || true
  nft delete table ip6 kube-proxy 2> /dev/null || true
  [ -f "$LAB/tables" ] || return 0
  local table family name
  while read -r table family name; do
    grep -qx "$table $family $name" "$LAB/tables" && continue
    if [ -z "$(nft -j list table "$family" "$name" 2> /dev/null | grep -o '"rule": {')" ]; then
      nft delete table "$family" "$name" 2> /dev/null || true
    fi
  done < <(nft list tables)
}

remove_state() {
  awk -v lab="$LAB/" 'index($2, lab) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount -l
  if [ -f "$LAB/made" ]; then
    awk 'NR == FNR { made[$1]; next } { for (m in made) if (index($2, m "/") == 1) print $2 }' \
      "$LAB/made" /proc/mounts | sort -r | xargs -r -n1 umount -l
    xargs -r rm -rf < "$LAB/made"
  fi
  rm -rf "$LAB"/{made,tables,etcd,kubelet,containerd,ipam,run,opt,cni,ip_forward} "$LOG/pods"
  # kubepods is the kubelet's own name for the groups of its pods, empty by now
  find /sys/fs/cgroup -type d -path '*/kubepods*' -depth -exec rmdir {} + 2> /dev/null || true
}
