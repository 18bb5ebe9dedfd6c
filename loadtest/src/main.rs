//! `tapio-loadtest`: how many events a second the bus takes, and the pipeline.

use anyhow::Result;
use clap::{Parser, Subcommand};
use loadtest::pipeline::{Load, Rate, pipeline, raw};

#[derive(Debug, Parser)]
#[command(version, about = "Measures the bus and the pipeline on this machine")]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[arg(long, global = true, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1000..), help = "events to send")]
    events: u64,
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256), help = "events of one message")]
    batch: u64,
    #[arg(long, global = true, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..), help = "workloads they speak of")]
    workloads: u64,
    #[arg(long, global = true, help = "print one line of JSON")]
    json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// JetStream's own limit for the same bytes
    Raw,
    /// Events through enricher and correlator
    Pipeline,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let load = Load {
        events: cli.events,
        events_per_batch: cli.batch,
        workloads: cli.workloads,
    };
    let mut rates = Vec::new();
    if !matches!(cli.what, Some(What::Pipeline)) {
        rates.push(raw(load).await?);
    }
    if !matches!(cli.what, Some(What::Raw)) {
        rates.push(pipeline(load).await?);
    }
    print(&rates, cli.json)
}

#[expect(clippy::print_stdout, reason = "the result of the measurement")]
fn print(rates: &[Rate], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(rates)?);
        return Ok(());
    }
    for rate in rates {
        println!(
            "{:14} {:>10} events in {:6.2} s = {:>9.0} events/s",
            rate.what, rate.events, rate.seconds, rate.events_per_second
        );
    }
    if let [raw, pipeline] = rates {
        println!(
            "pipeline : raw = {:.2}",
            pipeline.events_per_second / raw.events_per_second
        );
    }
    Ok(())
}
