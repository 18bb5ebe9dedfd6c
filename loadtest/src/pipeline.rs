//! The two measurements: the bare bus, and the same bytes through enricher and correlator.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bus_client::reader::{Item, Reader};
use bus_schema::episode::Report;
use bus_schema::names::{EPISODES_STREAM, events_subject};
use bus_stage::clock::now_ns;
use serde::Serialize;
use tokio::time::Instant;

use crate::events::{NODE, Source};
use crate::flood::publish;
use crate::server::{Process, Server};

/// A pipeline that has not answered by then is stuck.
const PATIENCE: Duration = Duration::from_secs(300);
const FAMILY: &str = "network";

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Events in all.
    pub events: u64,
    /// Events of one message.
    pub events_per_batch: u64,
    /// Workloads they speak of.
    pub workloads: u64,
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
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    fn new(what: &'static str, events: u64, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        Self {
            what,
            events,
            seconds,
            events_per_second: events as f64 / seconds,
        }
    }
}

/// JetStream's own limit: messages of the same bytes, acknowledged and stored, read by nobody.
///
/// # Errors
/// When the server cannot be started or refuses a message.
pub async fn raw(load: Load) -> Result<Rate> {
    let (_server, bus) = Server::start().await?;
    let batches = batches("raw", load)?;
    let began = Instant::now();
    publish(&bus, &events_subject(NODE, FAMILY), batches).await?;
    Ok(Rate::new("raw JetStream", load.events, began.elapsed()))
}

/// From the first publish until the correlator has worked on the last event.
///
/// # Errors
/// When a process cannot be started or nothing comes out.
pub async fn pipeline(load: Load) -> Result<Rate> {
    let (server, bus) = Server::start().await?;
    let _stages = [
        stage("tapio-enricher", &server)?,
        stage("tapio-correlator", &server)?,
    ];
    let subject = events_subject(NODE, FAMILY);
    let mut warm = Source::new("warm", 1, 1, now_ns())?;
    publish(&bus, &subject, [warm.marker("warm")?]).await?;
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    wait_for("warm", &mut reader).await?;

    let mut batches = batches("load", load)?;
    batches.push(Source::new("last", 1, 1, now_ns())?.marker("last")?);
    let began = Instant::now();
    let (sent, seen) = tokio::join!(publish(&bus, &subject, batches), wait_for("last", &mut reader));
    sent.and(seen)?;
    Ok(Rate::new("pipeline", load.events, began.elapsed()))
}

/// Encoded beforehand: what is measured is the way, not the source.
fn batches(observer: &'static str, load: Load) -> Result<Vec<(String, bytes::Bytes)>> {
    let mut source = Source::new(observer, load.events_per_batch, load.workloads, now_ns())?;
    (0..load.events / load.events_per_batch.max(1))
        .map(|_| source.batch())
        .collect()
}

fn stage(name: &str, server: &Server) -> Result<Process> {
    let own = std::env::current_exe()?;
    let binary = own.with_file_name(name);
    if !binary.exists() {
        bail!(
            "{} is missing; build it with: cargo build --release --workspace --bins",
            binary.display()
        );
    }
    let health = std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .to_string();
    let environment = [
        ("TAPIO_NATS_URL", server.url.clone()),
        ("TAPIO_HEALTH_ADDR", health),
        ("TAPIO_DIE_WITH_PARENT", "1".to_owned()),
    ];
    Process::start(&binary, &[], &environment)
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
