//! `tapio-sink-otlp`: exports each incident revision as one OpenTelemetry trace.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(sink_otlp::run::main()).await
}
