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
#[command(
    version,
    about = "Measures the bus and the pipeline on this machine",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    rates: RatesArgs,
}

/// How rates are measured.
#[derive(Debug, Clone, clap::Args)]
struct RatesArgs {
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1000..), help = "events to send")]
    events: u64,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256), help = "events of one message")]
    batch: u64,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..), help = "workloads they speak of")]
    workloads: u64,
    #[arg(long, default_value_t = 2, help = "workloads that fail")]
    failing: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), help = "nodes that send")]
    nodes: u64,
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "target/criterion",
        help = "where the benches of the primitives have left their results"
    )]
    criterion: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// How results are told.
#[derive(Debug, Clone, clap::Args)]
struct Output {
    #[arg(long, help = "print one line of JSON")]
    json: bool,
    #[arg(long, value_name = "FILE", help = "write the results into this file too")]
    record: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// JetStream's own limit for the same bytes
    Raw(RatesArgs),
    /// Events through observers' publishers, enricher and correlator
    Pipeline(RatesArgs),
    /// The whole pipeline on this host under a steady load: exits 1 when the memory of a process is not flat (as root)
    Soak {
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), help = "how long")]
        minutes: u64,
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..), help = "shops side by side")]
        shops: u32,
        #[arg(long, default_value_t = 25, help = "requests a second of each shop")]
        rate: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Real faults on the lab's Kubernetes, and what is told about each; deploy/lab/campaign makes all that it needs
    Campaign(campaign::Options),
    /// Make a recording of the corpus from what a campaign left
    Corpus(corpus::Options),
    /// How well the correlator understands the corpus
    Understand(understand::Options),
    /// Changes in a cluster of many nodes and pods; deploy/lab/scale makes all that it needs
    Scale {
        #[command(flatten)]
        options: scale::Options,
        #[command(flatten)]
        output: Output,
    },
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
            Some(What::Soak {
                minutes,
                shops,
                rate,
                output,
            }) => steadiness(&output, Duration::from_secs(60 * minutes), shops, rate).await,
            Some(What::Scale { options, output }) => {
                let outcome = scale::run(&options).await?;
                tell(&output, "scale", &outcome.table(), &outcome)?;
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Corpus(options)) => {
                let (cases, bytes) = corpus::make(&options)?;
                say(&format!("{cases} cases in {bytes} bytes\n"));
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Understand(options)) => {
                say(&understand::run(&options)?);
                Ok(ExitCode::SUCCESS)
            }
            Some(What::Raw(args)) => rates(&args, &[Target::Raw]).await,
            Some(What::Pipeline(args)) => rates(&args, &[Target::Pipeline]).await,
            Some(What::Campaign(_)) | None => rates(&cli.rates, &[Target::Raw, Target::Pipeline]).await,
        }
    };
    stop.run_until_cancelled(Box::pin(measured))
        .await
        .unwrap_or_else(|| bail!("stopped before the end: nothing was measured"))
}

async fn steadiness(output: &Output, length: Duration, shops: u32, rate: u32) -> Result<ExitCode> {
    let memory = soak(length, shops, rate).await?;
    tell(output, "soak", &report::memory(&memory), &memory)?;
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

/// What events are sent through.
#[derive(Debug, Clone, Copy)]
enum Target {
    Raw,
    Pipeline,
}

async fn rates(args: &RatesArgs, targets: &[Target]) -> Result<ExitCode> {
    let load = Load {
        events: args.events,
        shape: Shape {
            nodes: args.nodes,
            workloads: args.workloads,
            failing: args.failing,
            events_per_batch: args.batch,
        },
    };
    let mut rates = Vec::new();
    for target in targets {
        rates.push(match target {
            Target::Raw => raw(load).await?,
            Target::Pipeline => pipeline(load).await?,
        });
    }
    let primitives = report::criterion::read(&args.criterion);
    tell(&args.output, "rates", &report::rates(&primitives, &rates), &rates)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stdout, reason = "the result of the measurement")]
fn tell(output: &Output, section: &str, text: &str, value: &impl serde::Serialize) -> Result<()> {
    if output.json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        print!("{text}");
    }
    match &output.record {
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

    #[test]
    fn who_does_not_measure_rates_takes_none_of_their_options() {
        let is_taken = |words: &str| Cli::try_parse_from(words.split(' ')).is_ok();
        for words in [
            "tapio-loadtest --events 1000",
            "tapio-loadtest raw --events 1000",
            "tapio-loadtest scale --record results.md",
        ] {
            assert!(is_taken(words), "{words}");
        }
        for words in [
            "tapio-loadtest understand --events 1000",
            "tapio-loadtest scale --batch 2",
            "tapio-loadtest --events 1000 soak",
        ] {
            assert!(!is_taken(words), "{words}");
        }
    }
}
