//! `tapio-loadtest`: how many events a second the bus takes, and the pipeline; and whether memory is flat.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use bus_schema::samples::Shape;
use clap::{Parser, Subcommand};
use loadtest::pipeline::{Load, pipeline, raw};
use loadtest::report;
use loadtest::soak::{Memory, soak};
use loadtest::{campaign, corpus, scale, understand};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Parser)]
#[command(version, about = "Measures the bus and the pipeline on this machine")]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    load: LoadArgs,
    #[arg(long, global = true, help = "print one line of JSON")]
    json: bool,
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "write the results into this file too"
    )]
    record: Option<PathBuf>,
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "target/criterion",
        help = "where the benches of the primitives have left their results"
    )]
    criterion: PathBuf,
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    #[arg(long, global = true, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1000..), help = "events to send")]
    events: u64,
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256), help = "events of one message")]
    batch: u64,
    #[arg(long, global = true, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..), help = "workloads they speak of")]
    workloads: u64,
    #[arg(long, global = true, default_value_t = 2, help = "workloads that fail")]
    failing: u64,
    #[arg(long, global = true, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), help = "nodes that send")]
    nodes: u64,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// JetStream's own limit for the same bytes
    Raw,
    /// Events through observers' publishers, enricher and correlator
    Pipeline,
    /// The whole pipeline on this host under a steady load: exits 1 when the memory of a process is not flat (as root)
    Soak {
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), help = "how long")]
        minutes: u64,
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..), help = "shops side by side")]
        shops: u32,
        #[arg(long, default_value_t = 25, help = "requests a second of each shop")]
        rate: u32,
    },
    /// Real faults on the lab's Kubernetes, and what is told about each; deploy/lab/campaign makes all that it needs
    Campaign(campaign::Options),
    /// Make a recording of the corpus from what a campaign left
    Corpus(corpus::Options),
    /// How well the correlator understands the corpus
    Understand(understand::Options),
    /// Changes in a cluster of many nodes and pods; deploy/lab/scale makes all that it needs
    Scale(scale::Options),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let stop = bus_stage::signals::stop()?;
    if let Some(What::Campaign(options)) = &cli.what {
        return explanations(options, &stop).await;
    }
    let measured = async {
        match cli.what {
            Some(What::Soak { minutes, shops, rate }) => {
                steadiness(&cli, Duration::from_secs(60 * minutes), shops, rate).await
            }
            Some(What::Scale(ref options)) => {
                let outcome = scale::run(options).await?;
                tell(&cli, "scale", &outcome.table(), &outcome)?;
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Corpus(ref options)) => {
                let (cases, bytes) = corpus::make(options)?;
                say(&format!("{cases} cases in {bytes} bytes\n"));
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Understand(ref options)) => {
                say(&understand::run(options)?);
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Raw | What::Pipeline | What::Campaign(_)) | None => rates(&cli).await,
        }
    };
    stop.run_until_cancelled(Box::pin(measured))
        .await
        .unwrap_or_else(|| bail!("stopped before the end: nothing was measured"))
}

async fn steadiness(cli: &Cli, length: Duration, shops: u32, rate: u32) -> Result<ExitCode> {
    let memory = soak(length, shops, rate).await?;
    tell(cli, "soak", &report::memory(&memory), &memory)?;
    let flat = memory.iter().all(Memory::is_flat);
    Ok(ExitCode::from(u8::from(!flat)))
}

/// What was played so far is summed up also when it is stopped.
#[expect(clippy::print_stdout, reason = "the result of the campaign")]
async fn explanations(options: &campaign::Options, stop: &CancellationToken) -> Result<ExitCode> {
    if options.list {
        print!("{}", campaign::list(options)?);
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = Box::pin(campaign::run(options, stop)).await?;
    print!("{}", outcome.text);
    let failed = !outcome.complete || options.strict && !outcome.met;
    Ok(ExitCode::from(u8::from(failed)))
}

async fn rates(cli: &Cli) -> Result<ExitCode> {
    let load = Load {
        events: cli.load.events,
        shape: Shape {
            nodes: cli.load.nodes,
            workloads: cli.load.workloads,
            failing: cli.load.failing,
            events_per_batch: cli.load.batch,
        },
    };
    let mut rates = Vec::new();
    if !matches!(cli.what, Some(What::Pipeline)) {
        rates.push(raw(load).await?);
    }
    if !matches!(cli.what, Some(What::Raw)) {
        rates.push(pipeline(load).await?);
    }
    let primitives = report::criterion::read(&cli.criterion);
    tell(cli, "rates", &report::rates(&primitives, &rates), &rates)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stdout, reason = "the result of the measurement")]
fn tell(cli: &Cli, section: &str, text: &str, value: &impl serde::Serialize) -> Result<()> {
    if cli.json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        print!("{text}");
    }
    match &cli.record {
        Some(file) => report::record(file, section, text),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
