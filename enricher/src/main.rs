//! `tapio-enricher`: reads raw partitions, says who is who, writes enriched slots.

use std::process::ExitCode;

use bus_stage::clock::now_ns;
use bus_stage::{Process, exit, partitioned};
use clap::Parser;
use enricher::run::config::{Cli, PORT};
use enricher::run::stage::EnricherStage;
use enricher::run::watch::{self, Shared};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let (kubernetes, member) = (cli.kubernetes, cli.member);
    let run = bus_stage::process::run("enricher", cli.common, PORT, async |process: Process| {
        let topology = Shared::default();
        let mut watches = None;
        if kubernetes.is_wanted() {
            match kube::Client::try_default().await {
                Ok(client) => watches = Some(watch::start(&client, &topology, now_ns)),
                Err(error) => {
                    tracing::error!(error = %error, "no Kubernetes API server can be asked; set KUBECONFIG or --kubernetes no");
                    return ExitCode::from(exit::UNAVAILABLE);
                }
            }
        }
        let member = member.unwrap_or_else(|| format!("{}-{}", process.args.node_name(), std::process::id()));
        let stage = EnricherStage {
            partitions: process.args.partitions,
            topology,
        };
        partitioned::run(process, stage, &member).await;
        drop(watches);
        ExitCode::SUCCESS
    });
    Box::pin(run).await
}
