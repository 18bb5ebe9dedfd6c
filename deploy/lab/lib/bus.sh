# shellcheck shell=bash
# A nats-server on this host, outside the cluster, with TLS: by the chart's own users and passwords, or by an operator's
# credentials. Everything of it is in $BUS, which is made anew each time.

BUS_ADDRESS=10.99.0.1:4223

# Its certificate, signed by the lab's authority.
bus_certificate() {
  openssl req -newkey rsa:2048 -nodes -subj /CN=bus -keyout "$BUS/bus.key" -out "$BUS/bus.csr" 2> /dev/null
  openssl x509 -req -in "$BUS/bus.csr" -CA "$LAB/pki/ca.crt" -CAkey "$LAB/pki/ca.key" -CAcreateserial -days 7 \
    -out "$BUS/bus.crt" -extfile <(echo "subjectAltName=IP:${BUS_ADDRESS%:*}") 2> /dev/null
}

bus_start() { # AUTHENTICATION, as lines of its configuration
  cat > "$BUS/nats.conf" <<N
listen: $BUS_ADDRESS
max_payload: 1MB
tls { cert_file: "$BUS/bus.crt", key_file: "$BUS/bus.key" }
jetstream { store_dir: "$BUS/streams", max_file_store: 8GB, max_memory_store: 64MB }
$1
N
  spawn bus nats-server --config "$BUS/nats.conf"
  wait_for grep -q "Server is ready" "$LOG/bus.log"
}

bus_stop() {
  stop bus nats-server
  rm -rf "$BUS"
}

bus_new() {
  bus_stop
  mkdir -p "$BUS"
  bus_certificate
  kubectl -n tapio create secret generic bus-ca --from-file="ca.crt=$LAB/pki/ca.crt"
}

# Users and passwords as the chart writes them.
bus_with_passwords() {
  local role password from=()
  bus_new
  for role in observer stage sink reader; do
    password=p$(openssl rand -hex 12)
    export "NATS_${role^^}=$password"
    from+=("--from-literal=$role=$password")
  done
  kubectl -n tapio create secret generic bus-passwords "${from[@]}"
  cp "$repo/deploy/helm/tapio/files/authorization.conf" "$BUS"
  bus_start "include ./authorization.conf"
}

# An operator, an account with JetStream, and a user for each role.
bus_with_credentials() {
  local role account store=$BUS/data/nats/nsc/stores/lab from=() accounts=()
  bus_new
  auth() { XDG_DATA_HOME=$BUS/data XDG_CONFIG_HOME=$BUS/config nats auth "$@" > /dev/null; }
  auth operator add lab
  auth account add tapio --operator lab --defaults --jetstream --js-disk 8GB --js-memory 64MB --js-streams=-1 --js-consumers=-1
  for role in observer stage sink; do
    auth user add "$role" tapio --operator lab --defaults --pub-allow '>' --sub-allow '>' --credential "$BUS/$role.creds"
    from+=("--from-file=$role.creds=$BUS/$role.creds")
  done
  kubectl -n tapio create secret generic bus-credentials "${from[@]}"
  for account in SYSTEM tapio; do
    accounts+=("$(bus_subject "$store/accounts/$account/$account.jwt"): $(cat "$store/accounts/$account/$account.jwt")")
  done
  bus_start "operator: $store/lab.jwt
system_account: ${accounts[0]%%:*}
resolver: MEMORY
resolver_preload: { $(printf '%s\n' "${accounts[@]}") }"
}

# Whom a token speaks of.
bus_subject() { cut -d. -f2 "$1" | tr '_-' '/+' | base64 -d 2> /dev/null | jq -r .sub; }
