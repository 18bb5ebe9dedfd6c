//! A cluster of a thousand nodes: how long the product takes to know it, how far it lags behind changes, and what that costs.
//!
//! Nodes and pods are objects alone (kwok answers for them); the API server, its controllers and the product are real.

mod changes;
mod known;
mod world;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use bus_client::{Bus, Config};
use kube::Client;
use serde::Serialize;

use crate::campaign::cluster;
use crate::campaign::cost::{Cost, Sampler};
use crate::report::machine;
pub use changes::Lags;
use world::World;

/// Who may read what is on the bus, and empty a stream.
const USER: &str = "stage";
/// The server is up: the product has been rolled out.
const PATIENCE: Duration = Duration::from_secs(20);
/// Memory that an enricher may need, MiB.
const ENRICHER_MB: u64 = 150;

/// How large, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Nodes
    #[arg(long, default_value_t = 1000)]
    cluster_nodes: usize,
    /// Deployments, each with a Service and a `ConfigMap`
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    deployments: u32,
    /// Pods of each
    #[arg(long, default_value_t = 10)]
    replicas: u32,
    /// Changes a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// For how long things are changed
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Outcome {
    nodes: usize,
    pods: u32,
    rate: u32,
    /// From the start of an enricher until all relations are told, where none were.
    known_seconds: f64,
    /// How many messages that took.
    relations: u64,
    /// From the API server's answer to the enriched event.
    lags: Lags,
    costs: Vec<Cost>,
}

/// Makes the cluster, and measures.
///
/// # Errors
/// When the cluster, the product or its bus does not answer.
pub async fn run(options: &Options) -> Result<Outcome> {
    let client = Client::try_default()
        .await
        .context("the API server does not answer; deploy/lab/cluster env names its configuration")?;
    let world = World {
        nodes: options.cluster_nodes,
        workloads: options.deployments,
        replicas: options.replicas,
    };
    world.make(&client).await?;
    let (url, user) = cluster::bus(USER).await?;
    let config = Config {
        urls: vec![url],
        name: "tapio-loadtest".into(),
        user: Some(user),
        inbox_prefix: Some(format!("_INBOX_{USER}")),
        ..Config::default()
    };
    let bus = Bus::connect_now(&config, PATIENCE).await?;
    let (known_seconds, relations) = known::from_nothing(&bus).await?;
    let sampler = Sampler::start();
    let lags = changes::make(&client, &bus, &world, options.rate, options.seconds).await?;
    Ok(Outcome {
        nodes: options.cluster_nodes,
        pods: options.deployments * options.replicas,
        rate: options.rate,
        known_seconds,
        relations,
        lags,
        costs: sampler.costs(),
    })
}

impl Outcome {
    /// The tables.
    pub fn table(&self) -> String {
        let Self {
            nodes,
            pods,
            rate,
            lags,
            ..
        } = self;
        let mut text = machine::line();
        let _ = writeln!(text, "\n{nodes} nodes, {pods} pods, {rate} changes a second.\n");
        text.push_str("| measured | asked | |\n| --- | ---: | ---: |\n");
        let mut row = |what: &str, asked: &str, measured: String| {
            let _ = writeln!(text, "| {what} | {asked} | {measured} |");
        };
        let known = format!("{:.1} s ({} messages)", self.known_seconds, self.relations);
        row("relations from nothing", "< 5 s", known);
        row(
            "changes made",
            "",
            format!("{} in {:.0} s", lags.made, lags.seconds),
        );
        row(
            "the API server's answer, p99",
            "",
            format!("{:.0} ms", lags.answer_p99_ms),
        );
        row(
            "from its answer to the enriched event, p50",
            "",
            format!("{:.0} ms", lags.p50_ms),
        );
        row("… p99", "< 1000 ms", format!("{:.0} ms", lags.p99_ms));
        row("… most", "", format!("{:.0} ms", lags.most_ms));
        row("changes that were not told", "0", lags.untold.to_string());
        row("changes that were told again", "0", lags.again.to_string());
        text.push_str(
            "\n| process | cores | MB at first | MB at last | asked |\n| --- | ---: | ---: | ---: | ---: |\n",
        );
        for cost in &self.costs {
            let container = cost.process.rsplit('/').next().unwrap_or_default();
            let asked = if container == "tapio-enricher" {
                format!("≤ {ENRICHER_MB}")
            } else {
                String::new()
            };
            let (cores, first, last) = (cost.cores, cost.start_kb / 1024, cost.end_kb / 1024);
            let _ = writeln!(text, "| {container} | {cores:.3} | {first} | {last} | {asked} |");
        }
        text
    }
}
