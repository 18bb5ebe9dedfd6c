//! The two measurements: the bare bus, and the same bytes through observers' publishers, enricher and correlator.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bus_client::reader::{Item, Reader};
use bus_schema::episode::Report;
use bus_schema::names::EPISODES_STREAM;
use bus_schema::samples::Shape;
use bus_stage::clock::now_ns;
use serde::Serialize;
use tokio::time::Instant;

use crate::events::{batches, marker};
use crate::process::{Process, beside, free_address};
use crate::server::Server;
use crate::{flood, observers};

/// A pipeline that has not answered by then is stuck.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Events in all.
    pub events: u64,
    /// What they are.
    pub shape: Shape,
}

/// A measured rate.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    /// What was measured.
    pub what: &'static str,
    /// Events sent.
    pub events: u64,
    /// How long it took.
    pub seconds: f64,
    /// Events per second.
    pub events_per_second: f64,
    /// Processor time that each process took for them, seconds. It tells more than the clock where others work too.
    pub cpu_seconds: BTreeMap<&'static str, f64>,
}

impl Rate {
    /// Processor time of all processes, the bus included.
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    pub fn cpu_seconds_per_million(&self) -> f64 {
        self.cpu_seconds.values().sum::<f64>() * 1e6 / self.events as f64
    }
}

/// A measurement that runs.
struct Stopwatch<'a> {
    began: Instant,
    processes: Vec<(&'static str, &'a Process, f64)>,
}

impl<'a> Stopwatch<'a> {
    fn start(processes: &[(&'static str, &'a Process)]) -> Self {
        let read = |(name, process): &(&'static str, &'a Process)| (*name, *process, process.cpu_seconds());
        Self {
            processes: processes.iter().map(read).collect(),
            began: Instant::now(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    fn stop(self, what: &'static str, events: u64) -> Rate {
        let seconds = self.began.elapsed().as_secs_f64();
        let used =
            |(name, process, before): (&'static str, &Process, f64)| (name, process.cpu_seconds() - before);
        Rate {
            what,
            events,
            seconds,
            events_per_second: events as f64 / seconds,
            cpu_seconds: self.processes.into_iter().map(used).collect(),
        }
    }
}

/// JetStream's own limit: messages of the same bytes, acknowledged and stored, read by nobody.
///
/// # Errors
/// When the server cannot be started or refuses a message.
pub async fn raw(load: Load) -> Result<Rate> {
    let (server, bus) = Server::start().await?;
    let batches = batches(load.shape, load.events, now_ns())?;
    let watch = Stopwatch::start(&[("nats-server", &server.process)]);
    flood::publish(&bus, batches).await?;
    Ok(watch.stop("raw JetStream", load.events))
}

/// From the observers' publishers until the correlator has worked on the last event.
///
/// # Errors
/// When a process cannot be started or nothing comes out.
pub async fn pipeline(load: Load) -> Result<Rate> {
    let (server, bus) = Server::start().await?;
    let enricher = stage("tapio-enricher", &server)?;
    let correlator = stage("tapio-correlator", &server)?;
    flood::publish(&bus, [marker("warm", now_ns())?]).await?;
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    wait_for("warm", &mut reader).await?;

    // Encoded beforehand: what is measured is the way, not the source.
    let messages = batches(load.shape, load.events, now_ns())?;
    let last = marker("last", now_ns())?;
    let watch = Stopwatch::start(&[
        ("nats-server", &server.process),
        ("tapio-enricher", &enricher),
        ("tapio-correlator", &correlator),
    ]);
    let load_all = async {
        observers::publish(&bus, messages).await?;
        flood::publish(&bus, [last]).await
    };
    let (sent, seen) = tokio::join!(load_all, wait_for("last", &mut reader));
    sent.and(seen)?;
    Ok(watch.stop("pipeline", load.events))
}

fn stage(name: &str, server: &Server) -> Result<Process> {
    let environment = [
        ("TAPIO_NATS_URL", server.url.clone()),
        ("TAPIO_HEALTH_ADDR", free_address()?),
        ("TAPIO_DIE_WITH_PARENT", "1".to_owned()),
    ];
    Process::start(&beside(name)?, &[], &environment)
}

async fn wait_for(name: &str, reader: &mut Reader) -> Result<()> {
    let seen = async {
        loop {
            let Item::Message(message) = reader.next().await else {
                continue;
            };
            let report = Report::decode(&message.payload)?;
            if report
                .episodes
                .iter()
                .any(|episode| episode.subject.label() == name)
            {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen)
        .await
        .context("the marker never came out of the pipeline")?
}
