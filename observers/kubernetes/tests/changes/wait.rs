//! Waiting for a condition, not for a time.

use std::time::Duration;

/// How long anything is waited for, on a machine that does other things besides.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often is asked.
const PERIOD: Duration = Duration::from_millis(50);

/// Waits until it is so.
pub(crate) async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut timer = tokio::time::interval(PERIOD);
    let all = async {
        while !is_so() {
            timer.tick().await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, all).await.is_ok(),
        "in vain: {what}"
    );
}
