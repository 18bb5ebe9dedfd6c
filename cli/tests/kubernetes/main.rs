//! The story in a real Kubernetes, on a cluster where Tapio and the shop run: `deploy/lab/e2e` makes one.
//!
//! The witnesses are kubectl, the nats CLI with a user who may only read, and Jaeger.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(clippy::disallowed_methods, reason = "it waits for a real cluster")]

mod cluster;
mod jaeger;

use std::time::Duration;

use bus_schema::incident::{Role, State, Step};
use bus_schema::{Incident, Timestamp};
use cluster::{Incidents, kubectl, now, wait_for};

/// A shop at rest opens no incident.
const QUIET: Duration = Duration::from_secs(20);
/// From the rollout to the last link of the chain: the leak needs six seconds, kubelet and kube-proxy a few more.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(120);
/// A rollback, and the time for which symptoms have to stay away.
const RESOLVED_WITHIN: Duration = Duration::from_secs(180);
/// What `tapio explain` has read, the nats CLI has read soon after.
const TAILED_WITHIN: Duration = Duration::from_secs(10);
const OLD: &str = "tapio/redis:v6.2";
const NEW: &str = "tapio/redis:v7.0";

#[test]
#[ignore = "needs a cluster; deploy/lab/e2e brings one"]
fn a_rollout_that_leaks_is_explained_in_three_places_and_healed_by_the_advice() {
    let incidents = Incidents::follow();
    std::thread::park_timeout(QUIET);
    let narratives = || incidents.seen().into_iter().map(|incident| incident.narrative);
    assert_eq!(narratives().collect::<Vec<_>>(), Vec::<String>::new(), "at rest");

    let changed = now();
    kubectl(&[
        "-n",
        "shop",
        "set",
        "image",
        "deployment/redis",
        &format!("redis={NEW}"),
    ]);
    let incident = wait_for(EXPLAINED_WITHIN, || {
        incidents.seen().into_iter().rev().find(is_whole)
    })
    .unwrap_or_else(|| panic!("no whole chain: {:?}", narratives().next_back()));
    let told = cluster::explain(&incident);
    println!("{told}");
    is_right(&incident, changed);
    // Another revision may have come meanwhile; that it is told as it was published is what counts.
    let is_told = |seen: &Incident| seen.revision >= incident.revision && told.contains(&seen.narrative);
    wait_for(TAILED_WITHIN, || incidents.seen().into_iter().find(is_told)).expect("told as published");
    jaeger::assert_trace(&incident);

    let advice = incident.recommendation.as_ref().unwrap();
    assert_eq!(advice.command, "kubectl -n shop rollout undo deployment/redis");
    cluster::shell(&advice.command);
    let is_over = |seen: &Incident| seen.id == incident.id && seen.state == State::Resolved;
    let over = wait_for(RESOLVED_WITHIN, || incidents.seen().into_iter().find(is_over));
    assert!(
        over.is_some(),
        "the advice does not heal: {:?}",
        narratives().next_back()
    );
    let others = incidents.seen().into_iter().filter(|seen| seen.id != incident.id);
    let others: Vec<String> = others
        .map(|other| format!("{:?} {} {}", other.state, other.id, other.narrative))
        .collect();
    assert_eq!(others, Vec::<String>::new(), "one fault, one incident");
}

fn step<'a>(incident: &'a Incident, condition: &str, workload: &str) -> Option<&'a Step> {
    let mut steps = incident.steps.iter();
    steps.find(|step| step.condition.starts_with(condition) && step.label == workload)
}

fn is_whole(incident: &Incident) -> bool {
    let all = [
        ("image_changed", "redis"),
        ("memory_growth", "redis"),
        ("oom_kill", "redis"),
        ("connect_", "api-gateway"),
        ("retry_storm", "api-gateway"),
        ("http_5xx", "api-gateway"),
    ];
    // The old version's stop refuses connections for a moment, too: the chain is whole when the kill does.
    let kill = step(incident, "oom_kill", "redis").map(|kill| kill.id);
    let is_of_kill = |step: &Step| {
        step.condition.starts_with("connect_") && step.caused_by.iter().any(|cause| Some(cause.step) == kill)
    };
    let sustained =
        |step: &Step| step.condition == "http_5xx" && step.severity >= bus_schema::Severity::Error;
    incident.steps.iter().any(is_of_kill)
        && incident.steps.iter().any(sustained)
        && all
            .iter()
            .all(|(condition, workload)| step(incident, condition, workload).is_some())
}

fn is_right(incident: &Incident, changed: Timestamp) {
    let root = &incident.steps[0];
    assert_eq!(
        (root.condition.as_str(), root.role),
        ("image_changed", Role::RootCause)
    );
    assert_eq!(
        root.entity.workload.as_ref().unwrap().to_string(),
        "Deployment/shop/redis"
    );
    assert!(
        root.text.contains(OLD) && root.text.contains(NEW),
        "{}",
        root.text
    );
    let late_ns = root.start.as_ns().abs_diff(changed.as_ns());
    assert!(
        late_ns < 2_000_000_000,
        "changed at {changed}, told {}",
        root.start
    );

    let kill = step(incident, "oom_kill", "redis").unwrap();
    let pod = kill.entity.pod.as_ref().unwrap();
    assert_eq!(kill.entity.container.as_ref().unwrap().name, "redis");
    assert_eq!(cluster::last_end_of(&pod.name), "OOMKilled");
    assert!(incident.steps.is_sorted_by_key(|step| step.start));
    assert!(incident.confidence > 0.8, "{}", incident.confidence);
    let clock = root.start.clock();
    let clock = clock.split('.').next().unwrap();
    let expected = format!(
        "Deployment update to redis image v7.0 at {clock} caused a memory leak, triggering an OOM kill, leading to \
         connection failures in api-gateway, resulting in a retry storm and HTTP 500s"
    );
    // What is still answered may take long besides.
    let rest = incident.narrative.strip_prefix(&expected);
    assert!(
        [Some("."), Some(" and slow answers of api-gateway.")].contains(&rest),
        "{}",
        incident.narrative
    );
}
