//! Waiting for a condition with a deadline, and for somebody's wish to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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

/// A token that SIGTERM, SIGINT and SIGHUP cancel.
pub(crate) fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let (mut signals, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(stop)
}
