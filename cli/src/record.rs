//! `tapio record`: what the correlator reads, from the bus into one file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bus_client::GetStreamError;
use bus_client::bundle::{Head, Recorded, Writer};
use bus_client::reader::{Item, Reader};
use bus_client::{Bus, streams};
use bus_schema::names::{ENRICHED_STREAM, TOPOLOGY_STREAM, partition_stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::{NatsArgs, RecordArgs};
use crate::{Error, nats, output};

/// A stream that says nothing for so long holds no more; messages may expire before they are read.
const QUIET: Duration = Duration::from_secs(2);
/// The file's name that stands for the standard output.
const STDOUT: &str = "-";
/// Messages that wait to be written.
const QUEUE: usize = 1000;

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bus does not say what it has.
    #[error("the streams cannot be looked at; may this user read them?")]
    Look(#[source] GetStreamError),
    /// There is nothing to record.
    #[error("this NATS has no enriched events: no enricher has run there yet")]
    NoStreams,
}

/// Writes what the streams hold, and what comes after if asked to, until somebody stops it.
pub(crate) async fn run(args: &RecordArgs, told: &NatsArgs) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::config(told)).await?;
    let partitions = streams::enriched_partitions(&bus)
        .await
        .map_err(RecordError::Look)?;
    if partitions == 0 {
        return Err(RecordError::NoStreams.into());
    }
    let stop = bus_stage::signals::stop().map_err(Error::Runtime)?;
    let (sender, messages) = mpsc::channel(QUEUE);
    let enriched = (0..partitions).map(|partition| partition_stream(ENRICHED_STREAM, partition));
    for stream in enriched.chain([TOPOLOGY_STREAM.to_owned()]) {
        let reading = read(bus.clone(), stream, args.follow, sender.clone(), stop.clone());
        tokio::spawn(reading);
    }
    drop(sender);
    let written = write(&args.file, partitions, messages).await;
    let written = written.map_err(|source| RecordError::Write {
        path: args.file.display().to_string(),
        source,
    })?;
    output::note(format_args!("{written} messages in {}", args.file.display()));
    Ok(ExitCode::SUCCESS)
}

async fn write(path: &Path, partitions: u16, mut messages: mpsc::Receiver<Recorded>) -> io::Result<u64> {
    let file: Box<dyn Write> = if path == Path::new(STDOUT) {
        Box::new(io::stdout())
    } else {
        Box::new(File::create(path)?)
    };
    let mut writer = Writer::new(file, &Head::new(partitions))?;
    let mut written = 0;
    while let Some(message) = messages.recv().await {
        writer.write(&message)?;
        written += 1;
    }
    writer.finish()?.flush()?;
    Ok(written)
}

/// Hands on what a stream holds, and with `follow` what comes until `stop`.
async fn read(
    bus: Bus,
    stream: String,
    follow: bool,
    messages: mpsc::Sender<Recorded>,
    stop: CancellationToken,
) {
    let reader = Reader::new(&bus, &stream, 0);
    let mut reader = if stream == TOPOLOGY_STREAM {
        reader.compacted()
    } else {
        reader
    };
    let patience = if follow { Duration::MAX } else { QUIET };
    let mut behind = 0;
    while let Some(next) = stop
        .run_until_cancelled(tokio::time::timeout(patience, reader.next()))
        .await
    {
        let Ok(item) = next else {
            if behind > 0 {
                output::note(format_args!("{stream}: the last {behind} messages did not come"));
            }
            break;
        };
        let message = match item {
            Item::Message(message) => message,
            Item::Gap { missed } => {
                output::note(format_args!(
                    "{stream}: {missed} messages were removed before they were read"
                ));
                continue;
            }
        };
        let recorded = match Recorded::new(&stream, &message) {
            Ok(recorded) => recorded,
            Err(error) => {
                output::note(format_args!(
                    "{stream}: message {} is left out: {error}",
                    message.sequence
                ));
                continue;
            }
        };
        behind = message.pending;
        let is_last = behind == 0 && !follow;
        let is_unread = messages.send(recorded).await.is_err();
        if is_last || is_unread {
            break;
        }
    }
}
