//! The lifecycle observer against a real Kubernetes: every state is made by kubectl, and is told once and ends once.
//!
//! `deploy/lab/cluster up` brings a cluster with one node; it is changed all over: taints, quotas, evictions.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(clippy::disallowed_methods, reason = "it waits for a real cluster")]

mod case;
mod cases;
mod interruption;
mod kubectl;
mod registry;
mod relay;
mod told;

use case::Case;
use told::Told;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; deploy/lab/cluster up brings one"]
async fn every_state_is_told_once_and_ends_once() {
    let registry = registry::Registry::start().await;
    let told = Told::observe(kubectl::client().await).await;
    told.works().await;
    let cases = cases::all(&registry);
    assert!(cases.len() >= 25);
    case::check(cases, &told).await;
    for alone in cases::alone() {
        case::check(vec![alone], &told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; deploy/lab/cluster up brings one"]
async fn nothing_is_told_again_and_nothing_is_missed_by_an_interruption() {
    interruption::check().await;
}
