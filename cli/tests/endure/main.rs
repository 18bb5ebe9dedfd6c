//! What must hold when processes, the bus or the disk fail: real processes, a real nats-server, real kills.
//!
//! The witness is always what the streams and buckets hold afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too, and says what it saw"
)]

mod account;
mod demo;
mod ending;
mod handover;
mod host;
mod killed;
mod metrics;
mod outage;
mod ping;
mod poison;
mod server;
mod stage;
mod story;

use std::time::Duration;

use tokio::time::Instant;

/// Nothing here takes longer on a busy machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at a condition until it holds.
async fn wait_for(what: &str, condition: impl AsyncFnMut() -> bool) {
    wait_within(PATIENCE, what, condition).await;
}

/// Looks at a condition until it holds, and panics when `patience` is over first. Gives the time it took.
async fn wait_within(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begin.elapsed()
}
