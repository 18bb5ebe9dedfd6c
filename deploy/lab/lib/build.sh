# shellcheck shell=bash
# Gets everything the cluster consists of: distribution packages, and Go modules built here.

PACKAGES=(containerd runc etcd-server containernetworking-plugins busybox-static iproute2 iptables nftables openssl procps)
KUBERNETES_BINARIES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
GO_FLAGS='-trimpath -buildvcs=false'

build_all() {
  command -v go > /dev/null || fail "needs Go; on Debian: apt-get install golang-go"
  mkdir -p "$BIN" "$LAB/src"
  install_packages
  go_install coredns "github.com/coredns/coredns@$COREDNS"
  go_install helm "helm.sh/helm/v3/cmd/helm@$HELM"
  go_install nats "github.com/nats-io/natscli/nats@$NATS_CLI"
  go_install kwok "sigs.k8s.io/kwok/cmd/kwok@$KWOK"
  go_install nats-server "github.com/nats-io/nats-server/v2@$NATS_SERVER"
  local binary
  for binary in "${KUBERNETES_BINARIES[@]}"; do build_kubernetes "$binary"; done
  build_jaeger
  build_pause
  say "ready: deploy/lab/cluster up"
}

install_packages() {
  dpkg -s "${PACKAGES[@]}" > /dev/null 2>&1 && return
  need_root
  say "installing ${PACKAGES[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" > /dev/null
}

go_install() { # BINARY MODULE@VERSION
  [ -x "$BIN/$1" ] && return
  say "building $1"
  GOBIN=$BIN CGO_ENABLED=0 GOFLAGS=$GO_FLAGS go install "$2"
}

# k8s.io/kubernetes cannot be installed by its name: its go.mod replaces the staging modules by folders that only its
# own repository has. A module of ours takes that go.mod over with the published versions in the place of the folders.
kubernetes_module() {
  [ -f "$LAB/src/go.mod" ] && return
  local folder
  go mod download "k8s.io/kubernetes@v$KUBERNETES"
  folder=$(go env GOMODCACHE)/k8s.io/kubernetes@v$KUBERNETES
  install -m 644 "$folder/go.sum" "$LAB/src/go.sum"
  sed -E -e 's|^module .*|module tapio.lab/kubernetes|' \
    -e "s|=> \./staging/src/(k8s\.io/[a-z-]+)|=> \1 v0.${KUBERNETES#1.}|" "$folder/go.mod" > "$LAB/src/go.mod"
  echo "require k8s.io/kubernetes v$KUBERNETES" >> "$LAB/src/go.mod"
}

build_kubernetes() { # BINARY
  [ -x "$BIN/$1" ] && return
  kubernetes_module
  say "building $1"
  local version=k8s.io/component-base/version
  (cd "$LAB/src" && CGO_ENABLED=0 GOFLAGS="$GO_FLAGS -mod=mod" go build -o "$BIN/$1" -ldflags "-s -w \
    -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=34" "k8s.io/kubernetes/cmd/$1")
}

# Jaeger's go.mod has replacements too, and is complete: it builds inside its own folder.
build_jaeger() {
  [ -x "$BIN/jaeger" ] && return
  say "building jaeger"
  go mod download "github.com/jaegertracing/jaeger@$JAEGER"
  (cd "$(go env GOMODCACHE)/github.com/jaegertracing/jaeger@$JAEGER" &&
    CGO_ENABLED=0 GOFLAGS=$GO_FLAGS go build -ldflags '-s -w' -o "$BIN/jaeger" ./cmd/jaeger)
}

# The process that holds a pod's namespaces: it sleeps, and ends when told to.
build_pause() {
  [ -x "$BIN/pause" ] && return
  say "building pause"
  cc -O2 -static -x c -o "$BIN/pause" - <<'C'
#include <signal.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;) pause();
}
C
}
