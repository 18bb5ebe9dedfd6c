//! What a watch does not see as it happens.

use std::time::Duration;

use bus_schema::event::kubernetes::{Reason, State};
use bus_schema::event::node::Coverage;
use kube::{Client, Config};

use crate::kubectl::{apply, namespace, restart_api_server, shell, skip, wait_for};
use crate::relay::Relay;
use crate::told::Told;

/// Nothing is told within this time.
const QUIET: Duration = Duration::from_secs(15);
const NAMESPACE: &str = "t-interrupted";
const USER: &str = "tapio-test";

fn pod(name: &str, command: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{terminationGracePeriodSeconds: 0, containers: \
         [{{name: c, image: 'lab/busybox:1', imagePullPolicy: Never, command: [{command}]}}]}}}}\n---\n"
    )
}

/// Of each transition: the pod or claim, whether it holds, whether late, and why.
fn lines(told: &Told) -> Vec<(String, bool, bool, Reason)> {
    let all = told.of(NAMESPACE).into_iter();
    all.map(|(event, state)| {
        let name = event.subject.identity().name;
        (name, state.holds, state.late, state.reason)
    })
    .collect()
}

fn line(name: &str, holds: bool, is_late: bool, reason: Reason) -> (String, bool, bool, Reason) {
    (name.to_owned(), holds, is_late, reason)
}

pub(crate) async fn check() {
    namespace(NAMESPACE);
    give_permissions();
    apply(NAMESPACE, &pod("before", "/nonexistent"));
    shell(
        NAMESPACE,
        "until kubectl -n $N get pod before -o json | grep -q StartError; do sleep 0.2; done; sleep 6",
    );
    let config = as_user(Config::infer().await.unwrap());
    let relay = Relay::start(&config).await;
    let told = Told::observe(relay.client(config)).await;
    told.works().await;
    let mut expected = vec![line("before", true, true, Reason::BadCommand)];
    told_are(&told, &expected, "what held before is told late").await;

    relay.cut();
    apply(NAMESPACE, &pod("during", "/nonexistent"));
    shell(NAMESPACE, "kubectl -n $N delete pod before --wait");
    shell(
        NAMESPACE,
        "until kubectl -n $N get pod during -o json | grep -q StartError; do sleep 0.2; done; sleep 120",
    );
    assert_eq!(lines(&told), expected, "while nothing is heard");
    relay.mend();
    expected.push(line("before", false, false, Reason::BadCommand));
    expected.push(line("during", true, true, Reason::BadCommand));
    told_are(&told, &expected, "an interruption").await;

    if restart_api_server().await {
        wait_for("the watch works", || {
            told.coverage("pods") == Some(Coverage::Full)
        })
        .await;
        tokio::time::sleep(QUIET).await;
        told_are(&told, &expected, "a restart of the API server").await;
        is_gone(&relay, &told, &mut expected).await;
    } else {
        skip("the lifecycle observer and a restart of the API server: it is not the lab's");
    }

    // Nobody may read claims any more; an interruption makes the server ask.
    shell("", "kubectl delete clusterrolebinding tapio-test-claims");
    relay.cut();
    wait_for("the interruption is noticed", || {
        told.coverage("persistentvolumeclaims") != Some(Coverage::Full)
    })
    .await;
    relay.mend();
    wait_for("the missing capability is named", || {
        told.coverage("persistentvolumeclaims") == Some(Coverage::Missing)
    })
    .await;
    apply(NAMESPACE, &pod("after", "/nonexistent"));
    expected.push(line("after", true, false, Reason::BadCommand));
    told_are(&told, &expected, "the rest works").await;
    assert_eq!(told.coverage("pods"), Some(Coverage::Full));
    give_permissions();
    wait_for("the capability is there again", || {
        told.coverage("persistentvolumeclaims") == Some(Coverage::Full)
    })
    .await;
    tokio::time::sleep(QUIET).await;
    told_are(&told, &expected, "nothing is told again").await;

    shell(NAMESPACE, "kubectl delete namespace $N --wait");
    let ends = told.of(NAMESPACE).into_iter().filter(|(_, state)| !state.holds);
    let states = [State::NotStarted, State::Unschedulable];
    assert!(ends.clone().all(|(_, state)| states.contains(&state.state)));
    assert_eq!(ends.count(), expected.len() - 1, "{:?}", lines(&told));
    shell(
        "",
        "kubectl delete clusterrolebinding tapio-test tapio-test-claims
         kubectl delete clusterrole tapio-test tapio-test-claims",
    );
}

/// What a new API server did not see happen it refuses to tell: 410 Gone, and everything is listed again.
async fn is_gone(relay: &Relay, told: &Told, expected: &mut Vec<(String, bool, bool, Reason)>) {
    relay.cut();
    // It is not tried again and again, so it has begun when it began.
    let homeless = pod("forgotten", "/sleep").replace("spec: {", "spec: {nodeSelector: {of: none}, ");
    apply(NAMESPACE, &homeless);
    shell(
        NAMESPACE,
        "until kubectl -n $N get pod forgotten -o json | grep -q Unschedulable; do sleep 0.2; done; sleep 8",
    );
    restart_api_server().await;
    relay.mend();
    expected.push(line("forgotten", true, true, Reason::NodeSelector));
    told_are(told, expected, "410 Gone").await;
    let said = told.said_of("pods");
    assert!(
        said.iter().any(|said| said.reason.contains("too old")),
        "{said:?}"
    );
}

async fn told_are(told: &Told, expected: &[(String, bool, bool, Reason)], when: &str) {
    wait_for(when, || lines(told).len() >= expected.len()).await;
    let (mut told, mut expected) = (lines(told), expected.to_vec());
    told.sort();
    expected.sort();
    assert_eq!(told, expected, "{when}");
}

/// A user who may read what the chart lets the observer read, and claims by a binding of their own.
fn give_permissions() {
    let role = |name: &str, rules: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}, rules: [{rules}]}}\n---\n\
             {{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: {name}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}, \
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {USER}}}]}}\n---\n"
        )
    };
    let may_read = |group: &str, resources: &str| {
        format!("{{apiGroups: ['{group}'], resources: [{resources}], verbs: [get, list, watch]}}")
    };
    let all = [
        may_read("", "pods, nodes, services, events"),
        may_read("apps", "replicasets, deployments, statefulsets, daemonsets"),
        may_read("discovery.k8s.io", "endpointslices"),
        may_read("batch", "jobs"),
        "{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}".to_owned(),
    ];
    let claims = role("tapio-test-claims", &may_read("", "persistentvolumeclaims"));
    apply("default", &(role("tapio-test", &all.join(", ")) + &claims));
}

fn as_user(mut config: Config) -> Config {
    config.auth_info.impersonate = Some(USER.to_owned());
    // Made of it to see that it can be.
    let _ = Client::try_from(config.clone()).unwrap();
    config
}
