# shellcheck shell=bash
# One authority, one certificate and one kubeconfig for each component. Made once; they name only this host.

make_certificates() {
  [ -f "$PKI/complete" ] && return
  say "making certificates"
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=tapio-lab -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2> /dev/null
  openssl genrsa -out "$PKI/accounts.key" 2048 2> /dev/null
  openssl rsa -in "$PKI/accounts.key" -pubout -out "$PKI/accounts.pub" 2> /dev/null
  certificate apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP,DNS:localhost,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate controllers /CN=system:kube-controller-manager DNS:controllers
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP"
  certificate proxy /CN=system:kube-proxy DNS:proxy
  touch "$PKI/complete"
}

certificate() { # NAME SUBJECT ALTERNATIVE_NAMES
  local extensions="subjectAltName=$3"$'\n'"extendedKeyUsage=serverAuth,clientAuth"
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2> /dev/null
  openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 \
    -out "$PKI/$1.crt" -extfile <(echo "$extensions") 2> /dev/null
  cat > "$LAB/$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters:
- {name: lab, cluster: {server: "https://$NODE_IP:6443", certificate-authority: $PKI/ca.crt}}
users:
- {name: $1, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}
contexts:
- {name: lab, context: {cluster: lab, user: $1}}
current-context: lab
Y
}
