//! `tapio-correlator`: folds events into episodes and episodes into causal incidents.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(correlator::run::main()).await
}
