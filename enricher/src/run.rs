//! Wires the pure core to the bus and the API server.

pub mod config;
pub mod records;
pub mod references;
pub mod relate;
pub mod stage;
pub mod watches;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bus_stage::clock::now_ns;
use bus_stage::{Process, exit, partitioned};
use clap::Parser;
use tokio::sync::watch;

use config::{Cli, PORT};
use relate::{Related, Relating};
use stage::EnricherStage;
use watches::{Shared, Watches};

/// Without an API server poor names come out late rather than none ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process `tapio-enricher`: reads its command line and runs until it is stopped.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let (kubernetes, member) = (cli.kubernetes, cli.member);
    let run = bus_stage::process::run("enricher", cli.common, PORT, async |process: Process| {
        let topology = Shared::default();
        let related = Arc::new(Related::default());
        let role = watch::Sender::new(None);
        let mut watches = None;
        if kubernetes.is_wanted() {
            match kube::Client::try_default().await {
                Ok(client) => {
                    let relating = Relating {
                        process: process.clone(),
                        topology: Shared::clone(&topology),
                        related: Arc::clone(&related),
                        role: role.subscribe(),
                        now_ns,
                    };
                    tokio::spawn(relating.run());
                    watches = Some(start_watches(&client, &topology, &related, &process).await);
                }
                Err(error) => {
                    tracing::error!(error = %error, "no Kubernetes API server can be asked; set KUBECONFIG or --kubernetes no");
                    return ExitCode::from(exit::UNAVAILABLE);
                }
            }
        }
        let member = member.unwrap_or_else(bus_stage::config::member_name);
        let stage = EnricherStage {
            partitions: process.args.partitions,
            topology,
            role,
            metrics: process.metrics.clone(),
        };
        partitioned::run(process, stage, &member).await;
        drop(watches);
        ExitCode::SUCCESS
    });
    Box::pin(run).await
}

/// Follows the API server. Waits for the first lists: without them nobody would be recognised.
async fn start_watches(
    client: &kube::Client,
    topology: &Shared,
    related: &Arc<Related>,
    process: &Process,
) -> Watches {
    const WHAT: &str = "kubernetes";
    process
        .readiness
        .waiting(WHAT, "the first lists are not complete");
    let mut watches = Watches::start(client, topology, related, now_ns);
    let listed = tokio::time::timeout(PATIENCE, watches.are_listed());
    match process.stop.run_until_cancelled(listed).await {
        Some(Ok(())) | None => {}
        Some(Err(_)) => {
            tracing::warn!("the API server does not tell who is who: events keep the names of their node");
        }
    }
    process.readiness.ready(WHAT);
    watches
}
