//! A token in a Secret, a `ConfigMap`, a variable, an annotation and an argument is nowhere on the bus or in a log.

use super::observed::{Logged, Observed};
use super::server::Server;
use super::{TURN, binaries, shop};

/// Whether `bytes` has `part` in it.
fn has(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_is_on_the_bus_or_in_a_log() {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let logged = Logged::start();
    let server = Server::start(&binaries, false).await;
    let mut fence = shop(&server).await;
    // What is random is in nothing else.
    let token = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    let token = token.trim().replace('-', "");
    let encoded = server.kubectl(&format!("printf %s {token} | base64 | tr -d '\\n='"));
    server.kubectl(&format!(
        "kubectl create secret generic before --from-literal=a={token}"
    ));
    let observed = Observed::start(server.kubeconfig("observer")).await;
    for line in [
        "kubectl patch secret cert -p '{\"stringData\": {\"tls.key\": \"TOKEN\"}}'",
        "kubectl create secret generic new --from-literal=a=TOKEN",
        "kubectl patch secret before -p '{\"stringData\": {\"a\": \"more TOKEN\"}}'",
        "kubectl patch configmap settings -p '{\"data\": {\"port\": \"TOKEN\"}}'",
        "kubectl set env deployment/web MODE=TOKEN",
        "kubectl annotate deployment web note=TOKEN",
        "kubectl patch deployment web -p '{\"spec\": {\"template\": {\"metadata\": {\"annotations\": {\"note\": \"TOKEN\"}}}}}'",
        "kubectl patch deployment web --type=json -p '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/args\", \"value\": [\"--key=TOKEN\"]}]'",
        "kubectl patch deployment web -p '{\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"web\", \"livenessProbe\": {\"exec\": {\"command\": [\"check\", \"TOKEN\"]}}}]}}}}'",
        "kubectl create deployment told --image=shop/new:1 -- /run TOKEN",
        "kubectl delete secret new",
    ] {
        server.kubectl(&line.replace("TOKEN", &token));
        let told = fence.told(&observed).await;
        assert_eq!(told.len(), 1, "{line}: {told:?}");
    }
    let sent = observed.sent.lock().unwrap();
    let decoded = format!("{:?}", sent.events);
    let logged = logged.bytes();
    assert!(
        has(&logged, "watch") && decoded.contains("tls.key"),
        "all of it is looked at"
    );
    for secret in [&token, &encoded] {
        assert!(!decoded.contains(secret.as_str()), "decoded");
        for payload in &sent.payloads {
            assert!(!has(payload, secret), "on the bus");
        }
        assert!(!has(&logged, secret), "in the log");
    }
}
