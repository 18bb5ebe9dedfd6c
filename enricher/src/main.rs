//! `tapio-enricher`: reads raw partitions, says who is who, writes enriched slots.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(enricher::run::main()).await
}
