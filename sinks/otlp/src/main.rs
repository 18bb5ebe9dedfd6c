//! `tapio-sink-otlp`: exports each incident revision as one OpenTelemetry trace.

use std::process::ExitCode;

use bus_stage::process::chain;
use bus_stage::{Process, exit};
use clap::Parser;
use sink_otlp::export::Exporter;
use sink_otlp::run::{self, Cli, PORT};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let endpoint = cli.endpoint;
    let run =
        bus_stage::process::run(
            "sink-otlp",
            cli.common,
            PORT,
            async |process: Process| match Exporter::new(&endpoint) {
                Ok(exporter) => {
                    run::run(&process, &exporter).await;
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    tracing::error!(error = chain(&error), "cannot export");
                    ExitCode::from(exit::USAGE)
                }
            },
        );
    Box::pin(run).await
}
