//! What has misled other systems: small real programs beside one running pipeline, and what has to be said of each. Every kind has
//! a control in which the opposite is right. `make reports` plays them all and prints what was said.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too, and says what it saw"
)]

mod calls;
mod database;
mod ends;
mod exchanges;
mod grpc;
mod hops;
mod host;
mod lookups;
mod memory;
mod names;
#[path = "../../../observers/base/tests/harness/neighbour.rs"]
mod neighbour;
mod pipeline;
mod postgres;
mod scene;
mod services;
mod tls;

use std::time::Duration;

use tokio::time::Instant;

/// Nothing that is told is told later, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at a condition until it holds; says whether it ever did.
async fn comes_true(condition: impl AsyncFnMut() -> bool) -> bool {
    let mut condition = condition;
    let begin = Instant::now();
    while !condition().await {
        if begin.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}
