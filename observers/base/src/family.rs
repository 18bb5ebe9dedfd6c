//! The process of one family: the observers it was asked for, each in a task of its own, each with its way to the bus.

mod supervisor;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bus_client::losses::Losses;
use bus_client::publisher::{BUFFER_BYTES, Publisher};
use bus_client::spool::Spool;
use bus_schema::family::{self, by_token};
use bus_stage::{Process, exit};
use clap::Parser;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::batcher::{Batcher, Source};
use crate::clock::BootClock;
use crate::emitter::Emitter;
use crate::identity::{HOST_ROOT, Identity};
use supervisor::{Running, supervise};

/// Batches that wait between batcher and publisher: what piles up beyond them piles up where it is counted.
const OUTGOING: usize = 16;
/// Disk for batches that cannot be sent, per observer.
const SPOOL_BYTES: u64 = 64 * 1024 * 1024;
/// When told to stop, observers have this long to tell what they still hold …
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// … and what they told has this long to reach the bus.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What an observer works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Name of the node.
    pub node: String,
    /// Its way out.
    pub emitter: Emitter,
    /// Kernel time to UNIX time.
    pub clock: BootClock,
    /// Who is behind a control group or a process.
    pub identity: Arc<Identity>,
    /// The whole process, for those that talk to the bus themselves.
    pub process: Process,
    /// Cancelled when it is time to stop.
    pub stop: CancellationToken,
}

/// An observer that does not run.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// One observer.
pub trait Observer: Send {
    /// An event is emitted this long after it happened, at the latest: time stands still for readers until then. None for
    /// one that says how far it has come, see [`Emitter::complete_until`].
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Observes until `context.stop`. An error ends this observer only, is published as a missing capability, and another is
    /// started after a while.
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>>;
}

/// A family of observers, as its binary.
pub trait Family {
    /// Its token in [`family::FAMILIES`].
    const TOKEN: &'static str;

    /// What can be set of its observers.
    type Options: clap::Args + Default + Clone + Send + Sync + 'static;

    /// The observer with that token, for every one that the table says is built.
    fn observer(token: &str, options: &Self::Options) -> Option<Box<dyn Observer>>;
}

/// Of a family of which nothing can be set.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct NoOptions {}

// The command line of every family.
#[derive(Debug, Parser)]
#[command(version, about = "Observes a node and publishes what happens")]
struct Cli<Options: clap::Args> {
    #[command(flatten)]
    common: bus_stage::Args,
    #[command(flatten)]
    options: Options,
    #[arg(
        long,
        env = "TAPIO_OBSERVERS",
        value_delimiter = ',',
        help = "observers to run [default: all of the family]"
    )]
    observers: Vec<String>,
    #[arg(long, env = "TAPIO_BUFFER_BYTES", default_value_t = BUFFER_BYTES, help = "memory of each observer for batches that wait for NATS; what exceeds it goes to disk")]
    buffer_bytes: usize,
    #[arg(long, env = "TAPIO_HOST_ROOT", default_value = HOST_ROOT, help = "folder below which the host's files are, of which some tell the names of containers")]
    host_root: PathBuf,
    #[arg(long, help = "list the family's observers and end")]
    list: bool,
}

/// The main function of a family's binary.
pub async fn main<F: Family + 'static>() -> ExitCode {
    let cli = match Cli::<F::Options>::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    let Some(family) = by_token(F::TOKEN) else {
        return ExitCode::from(exit::SOFTWARE);
    };
    if cli.list {
        return list(family);
    }
    let chosen = match choose(family, &cli.observers) {
        Ok(chosen) => chosen,
        Err(message) => return refuse(&message),
    };
    let run = bus_stage::process::run(F::TOKEN, cli.common, family.port, async |process| {
        let identity = Identity::new(&cli.host_root);
        observe::<F>(process, family, chosen, identity, cli.buffer_bytes, cli.options).await
    });
    Box::pin(run).await
}

#[expect(clippy::print_stdout, reason = "the answer to --list")]
fn list(family: &family::Family) -> ExitCode {
    for observer in family.observers {
        println!(
            "{}\t{}\t{}",
            observer.token,
            if observer.built { "built" } else { "not built yet" },
            observer.tells
        );
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "logging has not started yet")]
fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(exit::USAGE)
}

fn choose(
    family: &'static family::Family,
    asked: &[String],
) -> Result<Vec<&'static family::Observer>, String> {
    if asked.is_empty() {
        return Ok(family
            .observers
            .iter()
            .filter(|observer| observer.built)
            .collect());
    }
    let find = |token: &String| {
        let found = family.observers.iter().find(|observer| observer.token == token);
        let known = || {
            family
                .observers
                .iter()
                .map(|observer| observer.token)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match found {
            Some(observer) if observer.built => Ok(observer),
            Some(_) => Err(format!("observer {token} is not built yet")),
            None => Err(format!(
                "the {} family has no observer {token:?}; it has {}",
                family.token,
                known()
            )),
        }
    };
    let mut chosen: Vec<&'static family::Observer> = Vec::new();
    for observer in asked.iter().map(find) {
        let observer = observer?;
        if chosen.iter().all(|other| other.token != observer.token) {
            chosen.push(observer);
        }
    }
    Ok(chosen)
}

async fn observe<F: Family>(
    process: Process,
    family: &'static family::Family,
    chosen: Vec<&'static family::Observer>,
    identity: Identity,
    buffer_bytes: usize,
    options: F::Options,
) -> ExitCode {
    let identity = Arc::new(identity);
    let clock = BootClock::new();
    let boot = boot_id(&clock);
    let (mut observers, mut pipes) = (JoinSet::new(), JoinSet::new());
    let running = Running::none(&process.readiness);
    let sending = CancellationToken::new();
    for observer in chosen {
        let Some(delay) = F::observer(observer.token, &options).map(|made| made.delay()) else {
            continue;
        };
        let node = process.args.node_name();
        let (cluster, boot) = (process.args.cluster.clone(), boot.clone());
        let source = Source {
            cluster,
            node: node.clone(),
            boot,
            family: family.token,
            observer: observer.token,
            delay,
        };
        let emitter = match pipe(&process, source, &clock, &sending, &mut pipes, buffer_bytes) {
            Ok(emitter) => emitter,
            Err(error) => {
                tracing::error!(observer = observer.token, error = %error, "observer cannot publish");
                continue;
            }
        };
        let (clock, identity, stop) = (clock.clone(), Arc::clone(&identity), process.stop.clone());
        let context = Context {
            node,
            emitter,
            clock,
            identity,
            process: process.clone(),
            stop,
        };
        running.one_more();
        let options = options.clone();
        let make = move || F::observer(observer.token, &options);
        observers.spawn(supervise(observer.token, make, context, running.clone()));
    }
    process.stop.cancelled().await;
    if !ended(&mut observers, STOP_TIMEOUT).await {
        tracing::warn!("an observer does not stop, cut off");
        observers.abort_all();
    }
    if !ended(&mut pipes, DRAIN_TIMEOUT).await {
        sending.cancel();
        if !ended(&mut pipes, STOP_TIMEOUT).await {
            tracing::error!("what was seen last is lost: it could neither be sent nor written down");
        }
    }
    ExitCode::SUCCESS
}

/// Whether all tasks end in time.
async fn ended<T: 'static>(tasks: &mut JoinSet<T>, patience: Duration) -> bool {
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(patience, all).await.is_ok()
}

/// Batcher and publisher of one observer.
fn pipe(
    process: &Process,
    source: Source,
    clock: &BootClock,
    sending: &CancellationToken,
    pipes: &mut JoinSet<()>,
    buffer_bytes: usize,
) -> std::io::Result<Emitter> {
    let losses = Losses::default();
    let folder = process.args.state_dir.join("spool").join(source.observer);
    let spool = open_spool(&folder, &losses);
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let metrics = process.metrics.clone();
    let (batcher, emitter) = Batcher::new(source, clock.clone(), out, losses.clone(), metrics)?;
    pipes.spawn(batcher.run());
    let metrics = process.metrics.clone();
    let mut waited = 0;
    let publisher = Publisher::new(process.bus.clone(), spool, losses)
        .buffering(buffer_bytes)
        .watched_by(move |progress| {
            metrics.events_sent.inc_by(progress.sent);
            // The gauge is the sum over all observers of the process.
            let waiting = i64::try_from(progress.waiting).unwrap_or(i64::MAX);
            metrics.queue_depth.inc_by(waiting - waited);
            waited = waiting;
        });
    pipes.spawn(publisher.run(outgoing, sending.clone()));
    Ok(emitter)
}

/// Without a disk the memory ring has to do; what it drops is counted.
fn open_spool(folder: &Path, losses: &Losses) -> Option<Spool> {
    match Spool::open(folder, SPOOL_BYTES, losses.clone()) {
        Ok(spool) => Some(spool),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), error = %error, "no spool: outages are bridged in memory only; set TAPIO_STATE_DIR");
            None
        }
    }
}

/// Identity of this run: the kernel's boot and the start of the process.
fn boot_id(clock: &BootClock) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let kernel: String = kernel.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{kernel}-{:x}", clock.now_ns())
}

#[cfg(test)]
mod tests;
