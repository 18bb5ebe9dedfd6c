//! Wires the pure core to the bus: three stages in one process.

pub mod causes;
pub mod config;
pub mod episodes;
pub mod metrics;
pub mod replay;
mod told;
pub mod topology;

use std::process::ExitCode;
use std::sync::Arc;

use bus_stage::process::chain;
use bus_stage::{Process, exit, partitioned};
use clap::Parser;

use crate::rules::RuleBook;
use causes::Causes;
use config::{Cli, PORT};
use episodes::Episodes;
use metrics::Own;
use topology::Topology;

/// The process `tapio-correlator`: reads its command line and runs until it is stopped.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let (rules, member) = (cli.rules, cli.member);
    let run = bus_stage::process::run("correlator", cli.common, PORT, async |process: Process| {
        let book = match RuleBook::load(rules.as_deref()) {
            Ok(book) => Arc::new(book),
            Err(error) => {
                tracing::error!(error = chain(&error), "rules cannot be used");
                return ExitCode::from(exit::USAGE);
            }
        };
        let member = member.unwrap_or_else(bus_stage::config::member_name);
        let metrics = Own::register(&process.metrics);
        let episodes = Episodes {
            partitions: process.args.partitions,
            catalogue: Arc::clone(&book.catalogue),
            metrics: metrics.clone(),
        };
        let fold = partitioned::run(process.clone(), episodes, &member);
        let topology = Topology {
            metrics: metrics.clone(),
        };
        let relate = partitioned::run(process.clone(), topology, &member);
        let explain = partitioned::run(process, Causes { book, metrics }, &member);
        tokio::join!(fold, relate, explain);
        ExitCode::SUCCESS
    });
    Box::pin(run).await
}
