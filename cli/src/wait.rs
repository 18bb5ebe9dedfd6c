//! Waiting for a condition with a deadline.

use std::time::Duration;

/// How often a condition of the outside world is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks at `condition` until it holds; false when `deadline` passed first.
pub(crate) async fn until(deadline: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let look = async {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            if condition().await {
                return;
            }
        }
    };
    tokio::time::timeout(deadline, look).await.is_ok()
}
