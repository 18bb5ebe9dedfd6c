//! Reads incidents and exports them in order. The cursor moves when the backend has taken a revision.

use std::process::ExitCode;
use std::time::Duration;

use bus_client::checkpoints::{Checkpoint, Checkpoints};
use bus_client::reader::{Incoming, Item, Reader};
use bus_schema::Incident;
use bus_schema::names::INCIDENTS_STREAM;
use bus_stage::process::chain;
use bus_stage::{Process, checkpoint, exit};
use clap::Parser;
use tokio::time::Instant;

use crate::endpoint::Settings;
use crate::export::Exporter;

/// Default port of the health pages.
pub const PORT: u16 = 9482;
const STAGE: &str = "sink-otlp";
/// Whoever limits a rate does so for seconds or minutes. What is refused as too much for longer is itself too much: the library
/// waits as long as the backend says, and does not pass on whether it said so.
const TOO_MUCH_AFTER: Duration = Duration::from_secs(10 * 60);
/// First and longest delay before an export is tried again. Nobody waits for a trace, and whoever is refused often is an
/// incident by itself.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));
/// Delay before the checkpoint is asked for again.
const OPEN_RETRY: Duration = Duration::from_secs(1);

// `tapio-sink-otlp`
#[derive(Debug, Parser)]
#[command(version, about = "Exports each incident revision as one OpenTelemetry trace")]
#[expect(missing_docs, reason = "each field's help is its documentation")]
pub struct Cli {
    #[command(flatten)]
    pub common: bus_stage::Args,
    #[command(flatten)]
    pub to: Settings,
}

/// The process `tapio-sink-otlp`: reads its command line and runs until it is stopped.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let settings = cli.to;
    let run =
        bus_stage::process::run(
            "sink-otlp",
            cli.common,
            PORT,
            async |process: Process| match Exporter::new(&settings) {
                Ok(exporter) => {
                    run(&process, &exporter).await;
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

/// Exports until the process stops. Two sinks export everything twice, which ids make harmless.
pub async fn run(process: &Process, exporter: &Exporter) {
    let Some((mut checkpoints, last)) = open(process).await else {
        return;
    };
    let mut reader = Reader::new(
        &process.bus,
        INCIDENTS_STREAM,
        last.map_or(0, |checkpoint| checkpoint.sequence),
    );
    process.readiness.ready(STAGE);
    loop {
        let item = tokio::select! {
            item = reader.next() => item,
            () = process.stop.cancelled() => return,
        };
        match item {
            Item::Message(message) => {
                if !export(process, exporter, &message).await {
                    return;
                }
                let checkpoint = Checkpoint {
                    sequence: message.sequence,
                    state: Vec::new(),
                };
                if let Err(error) = checkpoints.write(&checkpoint).await {
                    process.metrics.error("checkpoint");
                    tracing::warn!(error = chain(&error), "checkpoint not written");
                }
            }
            Item::Gap { missed } => process.metrics.drop_events("retention", missed),
        }
    }
}

async fn open(process: &Process) -> Option<(Checkpoints, Option<Checkpoint>)> {
    process
        .readiness
        .waiting(STAGE, "has not read its checkpoint yet");
    loop {
        match checkpoint::open(process, STAGE, 0, 0).await {
            Ok(opened) => return Some(opened),
            Err(error) => process.readiness.waiting(STAGE, error),
        }
        tokio::select! {
            () = tokio::time::sleep(OPEN_RETRY) => {}
            () = process.stop.cancelled() => return None,
        }
    }
}

/// Exports one revision, again and again until the backend takes it. Says whether to go on.
async fn export(process: &Process, exporter: &Exporter, message: &Incoming) -> bool {
    process.metrics.events_received.inc();
    let incident: Incident = match serde_json::from_slice(&message.payload) {
        Ok(incident) => incident,
        Err(error) => {
            process.metrics.drop_events("undecodable", 1);
            tracing::warn!(sequence = message.sequence, error = %error, "message is no incident, skipped");
            return true;
        }
    };
    let (mut delay, longest) = RETRY_DELAY;
    let begun = Instant::now();
    while let Err(error) = exporter.export(&incident).await {
        process.metrics.error("export");
        if error.is_final() || error.is_exhausted() && begun.elapsed() > TOO_MUCH_AFTER {
            process.metrics.drop_events("refused", 1);
            tracing::error!(incident = %incident.id, revision = incident.revision, error = chain(&error), "refused for good, skipped");
            return true;
        }
        process.readiness.waiting("otlp", chain(&error));
        tracing::warn!(error = chain(&error), "incident not exported, trying again");
        tokio::select! {
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(longest),
            () = process.stop.cancelled() => return false,
        }
    }
    process.readiness.ready("otlp");
    process.metrics.events_sent.inc();
    true
}
