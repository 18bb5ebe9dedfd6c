//! A stage that works on partitions: it takes those it may by lease, reads each in order, publishes what follows from each
//! message, and writes down how far it has come.
//!
//! The work is a function of the messages and its state. Its effects are published under ids that follow from the input,
//! and only then does the checkpoint move; so whatever is killed at whatever moment, the same effects follow, once.

mod delivery;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus_client::connection::Status;
use bus_client::leases::{Changes, Lease, Member};
use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::names::token;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Process;

/// Partitions that are handed over in good order have this long for their last checkpoints. Meanwhile no lease is renewed.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before the bus is asked again whether the streams are there.
const PROVISION_RETRY: Duration = Duration::from_secs(1);

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Output {
    /// What; the same input gives the same message, id included.
    pub message: Outgoing,
    /// A bucket's entry that shall hold the newest of its kind.
    pub put: Option<Put>,
}

/// An entry of a bucket.
#[derive(Debug, Clone)]
pub struct Put {
    /// The bucket.
    pub bucket: &'static str,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
}

/// What follows from a message.
#[derive(Debug, Default)]
pub struct Applied {
    /// To be published, in this order.
    pub outputs: Vec<Output>,
    /// Events the message held.
    pub received: u64,
    /// Newest event time it told, UNIX ns; 0 for none.
    pub time_ns: u64,
    /// Events skipped, by reason; those that the work has to tell of, it has taken note of itself.
    pub skipped: Vec<(&'static str, u64)>,
    /// The work was cut short and has more to do: [`Work::resume`] is called before the next message.
    pub more: bool,
}

/// A message that cannot be worked on. It is counted, logged once per kind and minute, and skipped.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Reject {
    /// Token for metrics: `undecodable`, `newer_schema`.
    pub kind: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// The work on one partition.
pub trait Work: Send + 'static {
    /// Takes the next message.
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject>;

    /// Goes on with what [`Applied::more`] left to do, a step at a time, until that is false; only then comes the next message or
    /// a snapshot. So what follows from a message hangs on the messages alone, however it was cut.
    ///
    /// # Errors
    /// [`Reject`] gives up what was left to do.
    fn resume(&mut self) -> Result<Applied, Reject> {
        Ok(Applied::default())
    }

    /// Takes note that `count` messages or events were lost for `reason`, to be told downstream with what follows.
    fn lost(&mut self, reason: &'static str, count: u64);

    /// The state after the last message.
    ///
    /// # Errors
    /// A description of what could not be written down.
    fn snapshot(&self) -> Result<Vec<u8>, String>;
}

/// A stage: where its partitions are, and how work on one begins.
pub trait Stage: Send + Sync + 'static {
    /// The work on one partition.
    type Work: Work;

    /// Name in leases and checkpoints.
    const NAME: &'static str;

    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// The stream of a partition.
    fn stream(&self, partition: u16) -> String;

    /// Takes up the work from a state; `None` is the beginning.
    ///
    /// # Errors
    /// A description of why the state is not usable; the work then begins anew.
    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Self::Work, String>;
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Runs a stage until the process stops. `member` must be unique among the processes of the stage.
pub async fn run<S: Stage>(process: Process, stage: S, member: &str) {
    let stage = Arc::new(stage);
    let connection = process.bus.status();
    let Some(mut membership) = join::<S>(&process, stage.partitions(), member).await else {
        return;
    };
    tokio::spawn(keep_streams(process.clone(), connection));
    let mut running: BTreeMap<u16, Running> = BTreeMap::new();
    let mut rounds = tokio::time::interval(membership.interval());
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            () = process.stop.cancelled() => break,
        }
        let changes = membership.round(Instant::now()).await;
        follow(&process, &stage, &mut membership, &mut running, changes).await;
        restart_ended(&mut membership, &mut running).await;
        process.readiness.ready(S::NAME);
    }
    finish(running.into_values()).await;
    membership.leave().await;
}

/// Waits for the bus, and makes sure that the streams are there.
async fn join<S: Stage>(process: &Process, partitions: u16, member: &str) -> Option<Member> {
    process.readiness.waiting(S::NAME, "has not joined its stage yet");
    loop {
        let joined = async {
            bus_client::streams::provision(&process.bus, process.args.partitions).await?;
            Member::new(&process.bus, S::NAME, &token(member), partitions).await
        };
        match joined.await {
            Ok(member) => return Some(member),
            Err(error) => {
                let why = crate::process::chain(&error);
                tracing::warn!(stage = S::NAME, error = why, "streams are not there yet");
                process.readiness.waiting(S::NAME, why);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PROVISION_RETRY) => {}
            () = process.stop.cancelled() => return None,
        }
    }
}

/// A server may come back without its store: after each new connection the streams are made where they are missing.
async fn keep_streams(process: Process, mut connection: watch::Receiver<Status>) {
    let stop = process.stop.clone();
    let keeping = async {
        while connection.changed().await.is_ok() {
            while matches!(*connection.borrow(), Status::Connected) {
                let made = bus_client::streams::provision(&process.bus, process.args.partitions).await;
                let Err(error) = made else { break };
                tracing::warn!(
                    error = crate::process::chain(&error),
                    "streams are not there after a reconnect"
                );
                tokio::time::sleep(PROVISION_RETRY).await;
            }
        }
    };
    stop.run_until_cancelled(keeping).await;
}

async fn follow<S: Stage>(
    process: &Process,
    stage: &Arc<S>,
    membership: &mut Member,
    running: &mut BTreeMap<u16, Running>,
    changes: Changes,
) {
    for partition in changes.lost {
        tracing::warn!(stage = S::NAME, partition, "lease lost");
        if let Some(worker) = running.remove(&partition) {
            worker.task.abort();
        }
    }
    if !changes.surplus.is_empty() {
        tracing::info!(stage = S::NAME, partitions = ?changes.surplus, "handing over");
    }
    let surplus = &changes.surplus;
    finish(surplus.iter().filter_map(|partition| running.remove(partition))).await;
    for partition in changes.surplus {
        membership.release(partition).await;
    }
    for lease in changes.gained {
        tracing::info!(
            stage = S::NAME,
            partition = lease.partition,
            epoch = lease.epoch,
            "lease taken"
        );
        running.insert(lease.partition, begin(process.clone(), Arc::clone(stage), lease));
    }
}

/// A worker that ended by itself has given up its partition; somebody takes it up from the last checkpoint.
async fn restart_ended(membership: &mut Member, running: &mut BTreeMap<u16, Running>) {
    let ended: Vec<u16> = running
        .iter()
        .filter(|(_, worker)| worker.task.is_finished())
        .map(|(partition, _)| *partition)
        .collect();
    for partition in ended {
        running.remove(&partition);
        membership.release(partition).await;
    }
}

fn begin<S: Stage>(process: Process, stage: Arc<S>, lease: Lease) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(worker::run(process, stage, lease, stop.clone()));
    Running { stop, task }
}

/// Ends workers, all at the same time; who does not come to an end is cut off.
async fn finish(workers: impl Iterator<Item = Running>) {
    let ending: Vec<Running> = workers.collect();
    for worker in &ending {
        worker.stop.cancel();
    }
    let deadline = Instant::now() + HANDOVER_TIMEOUT;
    for Running { mut task, .. } in ending {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}
