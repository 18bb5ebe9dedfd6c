//! A process from its start to its end: logs, signals, health, bus, drain.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bus_client::connection::{Status, public};
use bus_client::{Bus, connection};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio_util::sync::CancellationToken;

use crate::config::Args;
use crate::health::{self, Readiness};
use crate::metrics::Metrics;
use crate::vitals::Vitals;
use crate::{exit, signals, telemetry};

/// Longest time for the last messages to leave the connection.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What a running process works with.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its common configuration.
    pub args: Args,
    /// The bus; connecting or connected.
    pub bus: Bus,
    /// What it waits for.
    pub readiness: Readiness,
    /// What it cannot live without.
    pub vitals: Vitals,
    /// Its metrics.
    pub metrics: Metrics,
    /// Cancelled by SIGTERM, SIGINT and SIGHUP: stop taking in, drain, end.
    pub stop: CancellationToken,
}

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    #[error(transparent)]
    Health(#[from] health::Error),
    #[error(transparent)]
    Bus(#[from] connection::Error),
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
    #[error("the parent's death cannot be watched")]
    Parent(#[source] rustix::io::Errno),
}

/// Runs `work` as the process `name`, with its health pages on `default_port` unless told otherwise.
pub async fn run<W, F>(name: &'static str, args: Args, default_port: u16, work: W) -> ExitCode
where
    W: FnOnce(Process) -> F,
    F: Future<Output = ExitCode>,
{
    match start(name, args, default_port).await {
        Ok(process) => {
            let (bus, stop) = (process.bus.clone(), process.stop.clone());
            let code = work(process).await;
            stop.cancel();
            bus.drain(DRAIN_TIMEOUT).await;
            code
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "{name} cannot start");
            ExitCode::from(if matches!(error, Error::Telemetry(_)) {
                exit::USAGE
            } else {
                exit::UNAVAILABLE
            })
        }
    }
}

/// An error with its sources, for one log field.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn start(name: &'static str, args: Args, default_port: u16) -> Result<Process, Error> {
    telemetry::start(&args.log, args.log_format)?;
    if args.die_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(Error::Parent)?;
    }
    let stop = signals::stop().map_err(Error::Signals)?;
    let readiness = Readiness::default();
    readiness.waiting("nats", format!("not connected to {}", public(&args.nats_url)));
    let metrics = Metrics::new(&name.replace('-', "_"));
    let address = args
        .health_addr
        .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], default_port)));
    let vitals = Vitals::default();
    let bound = health::serve(
        address,
        readiness.clone(),
        vitals.clone(),
        metrics.clone(),
        stop.clone(),
    )
    .await?;
    let bus = Bus::connect(&args.bus(name)).await?;
    tokio::spawn(follow_connection(
        bus.clone(),
        readiness.clone(),
        public(&args.nats_url),
    ));
    tracing::info!(process = name, health = %bound, version = env!("CARGO_PKG_VERSION"), "started");
    Ok(Process {
        args,
        bus,
        readiness,
        vitals,
        metrics,
        stop,
    })
}

async fn follow_connection(bus: Bus, readiness: Readiness, urls: String) {
    let mut status = bus.status();
    loop {
        match &*status.borrow_and_update() {
            Status::Connected => readiness.ready("nats"),
            Status::Disconnected => readiness.waiting("nats", format!("not connected to {urls}")),
            Status::Denied(why) => {
                readiness.waiting("nats", format!("NATS denies what this process has to do: {why}"));
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
