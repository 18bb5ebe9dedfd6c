//! Partitioned work on a real nats-server: work that blocks, panics, is overtaken, loses its state.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "partitions/echo.rs"]
mod echo;
#[path = "partitions/leases.rs"]
mod leases;
#[path = "../../client/tests/harness/server.rs"]
#[expect(dead_code, reason = "these tests leave the server alone")]
mod server;
#[path = "partitions/states.rs"]
mod states;

use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Waits until a condition holds.
async fn wait_for(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waiting).await.is_ok(),
        "{what}: not within {} s",
        PATIENCE.as_secs()
    );
}
