//! The lifecycle observer against a real Kubernetes: every state is made by kubectl, and is told once and ends once.
//!
//! `deploy/lab/cluster up` brings a cluster with one node; it is changed all over: taints, quotas, evictions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(
    clippy::print_stdout,
    reason = "says what was skipped and how long things took"
)]
#![expect(clippy::disallowed_methods, reason = "it waits for a real cluster")]

mod case;
mod cases;
#[path = "../../../base/tests/harness/context.rs"]
mod context;
mod interruption;
mod kubectl;
mod registry;
mod relay;
mod told;

use tokio::sync::Mutex;

/// There is one cluster.
static CLUSTER: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; deploy/lab/cluster up brings one"]
async fn every_state_is_told_once_and_ends_once() {
    let _alone = CLUSTER.lock().await;
    let registry = registry::Registry::start().await;
    let told = told::Told::observe(kubectl::client().await).await;
    told.works().await;
    case::check(cases::together(&registry), &told).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; deploy/lab/cluster up brings one"]
async fn states_that_change_the_nodes_are_told_once_and_end_once() {
    let _alone = CLUSTER.lock().await;
    let told = told::Told::observe(kubectl::client().await).await;
    told.works().await;
    for case in cases::alone() {
        case::check(vec![case], &told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; deploy/lab/cluster up brings one"]
async fn nothing_is_told_again_and_nothing_is_missed_by_an_interruption() {
    let _alone = CLUSTER.lock().await;
    interruption::check().await;
}
