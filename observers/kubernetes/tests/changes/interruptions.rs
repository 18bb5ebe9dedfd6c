//! Watches that are interrupted: what happened meanwhile is told once, as late, and what did not happen is not told.

use std::time::Duration;

use super::link::Link;
use super::observed::{Observed, client};
use super::server::{ROLE, Server, kubeconfig};
use super::wait::wait_for;
use super::{Fence, TURN, binaries, shop};

const NOTHING: [&str; 0] = [];

/// Changes of the shop, and what is told of them late.
const CHANGES: [(&str, &str); 6] = [
    (
        "kubectl set image deployment/web web=shop/web:9",
        "Deployment web changed by kubectl-set, late\nimage web: shop/web:1 -> shop/web:9",
    ),
    (
        r#"kubectl patch configmap settings -p '{"data": {"port": "1"}}'"#,
        "ConfigMap settings changed by kubectl-patch, late\ndata port: * -> *\naffects Deployment api, Deployment web",
    ),
    (
        "kubectl create configmap meanwhile --from-literal=a=1",
        "ConfigMap meanwhile created by kubectl-create, late\ndata a: - -> *",
    ),
    (
        "kubectl delete configmap report",
        "ConfigMap report deleted by , late\ndata to: * -> -\naffects CronJob report",
    ),
    (
        "kubectl label service web team=a",
        "Service web changed by kubectl-label, late\naffects Deployment web",
    ),
    (
        r#"kubectl patch pdb web -p '{"spec": {"minAvailable": 2}}'"#,
        "PodDisruptionBudget web changed by kubectl-patch, late\nbounds minAvailable: 1 -> 2\naffects Deployment web",
    ),
];

/// Those, in the order of the lines.
fn all_late() -> Vec<String> {
    let mut lines: Vec<_> = CHANGES.iter().map(|(_, told)| (*told).to_owned()).collect();
    lines.sort();
    lines
}

async fn sorted(fence: &mut Fence, observed: &Observed) -> Vec<String> {
    let mut told = fence.told(observed).await;
    told.sort();
    told
}

/// A shop that is observed over a link.
async fn observed(server: &Server) -> (Fence, Link, Observed) {
    let mut fence = shop(server).await;
    let link = Link::to(server.port).await;
    let observed = Observed::start(kubeconfig("observer", link.port)).await;
    assert_eq!(fence.told(&observed).await, NOTHING, "the first list");
    (fence, link, observed)
}

/// Waits until every watch is known to be broken.
async fn noticed(observed: &Observed) {
    wait_for("every watch is known to be interrupted", || {
        let watches = observed.capabilities();
        watches.values().filter(|(works, _)| !works).count() >= 15
    })
    .await;
}

/// Waits until what was done is as long ago that it is late; the API server keeps whole seconds.
async fn ago(while_ago: Duration) {
    let clock = tokio::time::Instant::now();
    wait_for("that is a while ago", || clock.elapsed() > while_ago).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_was_cut_tells_what_happened_meanwhile_once() {
    cut_for(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: the former test with a watch that is cut for two"]
async fn a_watch_that_was_cut_for_minutes_tells_what_happened_meanwhile_once() {
    cut_for(Duration::from_secs(120)).await;
}

async fn cut_for(length: Duration) {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let server = Server::start(&binaries, false).await;
    let (mut fence, link, observed) = observed(&server).await;
    link.cut();
    noticed(&observed).await;
    link.mend();
    assert_eq!(fence.told(&observed).await, NOTHING, "nothing happened");
    link.cut();
    for (does, _) in CHANGES {
        server.kubectl(does);
    }
    ago(length).await;
    link.mend();
    assert_eq!(sorted(&mut fence, &observed).await, all_late());
    assert_eq!(fence.told(&observed).await, NOTHING);
    server.kubectl("kubectl scale deployment/web --replicas=4");
    assert_eq!(
        fence.told(&observed).await,
        ["Deployment web changed by kubectl\nreplicas: 2 -> 4"],
        "it goes on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_through_which_nothing_comes_for_a_while_tells_it_late() {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let server = Server::start(&binaries, false).await;
    let (mut fence, link, observed) = observed(&server).await;
    link.freeze();
    for (does, _) in CHANGES {
        server.kubectl(does);
    }
    ago(Duration::from_secs(7)).await;
    link.mend();
    let expected: Vec<_> = all_late()
        .iter()
        // Without an interruption that anybody noticed, a deletion has no time but that of its being told.
        .map(|told| told.replace("report deleted by , late", "report deleted by "))
        .collect();
    assert_eq!(sorted(&mut fence, &observed).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_api_server_is_no_change_and_what_happened_in_it_is_late() {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let mut server = Server::start(&binaries, false).await;
    let (mut fence, link, observed) = observed(&server).await;
    server.stop_apiserver();
    noticed(&observed).await;
    server.start_apiserver().await;
    fence = fence.by(client(server.kubeconfig("admin")).await);
    assert_eq!(fence.told(&observed).await, NOTHING, "restarted");
    // What the new one did not see happen it refuses to tell: 410 Gone, and everything is listed again.
    link.cut();
    noticed(&observed).await;
    for (does, _) in CHANGES {
        server.kubectl(does);
    }
    server.stop_apiserver();
    server.start_apiserver().await;
    link.mend();
    fence = fence.by(client(server.kubeconfig("admin")).await);
    assert_eq!(sorted(&mut fence, &observed).await, all_late());
    let reasons = observed.reasons();
    assert!(reasons.iter().any(|why| why.contains("too old")), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_may_not_be_read_is_a_missing_capability_and_the_rest_goes_on() {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let server = Server::start(&binaries, false).await;
    let (mut fence, link, observed) = observed(&server).await;
    let role = server.kubectl(&format!("kubectl get clusterrole {ROLE} -o json"));
    let without = role.replace("\"secrets\"", "\"nothing\"");
    assert_ne!(role, without);
    let apply = |role: &str| server.kubectl(&format!("kubectl replace -f - <<'EOF'\n{role}\nEOF"));
    apply(&without);
    link.cut();
    noticed(&observed).await;
    link.mend();
    wait_for("watching Secrets is known to be refused", || {
        let watches = observed.capabilities();
        let (works, why) = &watches["watch secrets"];
        !works && why.contains("forbidden")
    })
    .await;
    fence.without(Some("Secret"));
    server.kubectl(r#"kubectl patch secret cert -p '{"stringData": {"tls.key": "two"}}'"#);
    server.kubectl(r#"kubectl patch configmap unread -p '{"data": {"a": "2"}}'"#);
    assert_eq!(
        fence.told(&observed).await,
        ["ConfigMap unread changed by kubectl-patch\ndata a: * -> *"]
    );
    let watches = observed.capabilities();
    let blind: Vec<_> = watches.iter().filter(|(_, (works, _))| !works).collect();
    assert_eq!(blind.len(), 1, "{blind:?}");
    assert!(
        observed.readiness.missing().is_empty(),
        "it is ready for the rest"
    );
    ago(Duration::from_secs(3)).await;
    apply(
        &server
            .kubectl(&format!("kubectl get clusterrole {ROLE} -o json"))
            .replace("\"nothing\"", "\"secrets\""),
    );
    fence.without(None);
    assert_eq!(
        fence.told(&observed).await,
        [
            "Secret cert changed by kubectl-patch, late\ndata tls.key: * -> *\naffects Deployment api, Deployment web"
        ]
    );
}
