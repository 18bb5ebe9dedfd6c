//! The work on one partition, on a thread of its own: the connection's tasks never wait for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bus_client::checkpoints::Checkpoint;
use bus_client::losses::Losses;
use bus_client::reader::{Incoming, Item};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::behind::Progress;
use super::keeper::Grant;
use super::{Applied, Output, Reject, Stage, Work};
use crate::clock::now_ns;
use crate::metrics::Fraction;
use crate::vitals::Pulse;
use crate::{Process, state};

/// A step of the work that takes longer will not end: the process is to be restarted.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(60);
/// The same complaint is logged this often at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Something to do, in order.
pub(super) enum Job {
    /// What was told before the state was lost.
    Recall(Bytes),
    /// The next of the stream.
    Item(Item),
    /// Write down the state.
    Snapshot,
}

/// What came of it, in order.
pub(super) enum Done {
    /// To be published.
    Outputs(Vec<Output>),
    /// The state after everything before it.
    Snapshot(Checkpoint),
    /// The last word.
    End,
}

/// Where the work begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// After this message.
    pub(super) cursor: u64,
    /// The state is being made again from what the stream still holds.
    pub(super) is_rebuilding: bool,
}

/// What the thread shares with whoever feeds it.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) process: Process,
    pub(super) grant: Grant,
    pub(super) progress: Arc<Progress>,
    pub(super) losses: Losses,
    /// Sequence of the last checkpoint that was written.
    pub(super) saved: Arc<AtomicU64>,
    pub(super) lag_seconds: Fraction,
}

/// Nobody wants to hear more: the lease is gone.
struct Gone;

struct Thread<W> {
    shared: Shared,
    stage: &'static str,
    version: u32,
    work: W,
    results: mpsc::Sender<Done>,
    pulse: Pulse,
    /// Last message that is contained in the state.
    applied: u64,
    /// What follows from messages up to this one was published by whoever wrote the checkpoint.
    told_until: u64,
    is_rebuilding: bool,
    complaints: HashMap<&'static str, Instant>,
}

/// Starts the thread, which says where it begins before it takes the first job.
///
/// # Errors
/// When no thread can be started.
pub(super) fn start<S: Stage>(
    shared: Shared,
    stage: Arc<S>,
    last: Option<Checkpoint>,
    jobs: mpsc::Receiver<Job>,
    results: mpsc::Sender<Done>,
) -> std::io::Result<oneshot::Receiver<Begun>> {
    let (begun_sender, begun) = oneshot::channel();
    let lease = shared.grant.lease;
    let name = format!("{}/{}", S::NAME, lease.partition);
    let what = format!("{name} epoch {}", lease.epoch);
    let pulse = shared.process.vitals.pulse(&what, STUCK_AFTER);
    let run = move || {
        pulse.beat();
        let Some((work, begun)) = begin(&*stage, lease.partition, last.as_ref()) else {
            return pulse.end();
        };
        let told_until = last.map_or(0, |checkpoint| checkpoint.sequence);
        let mut thread = Thread {
            shared,
            stage: S::NAME,
            version: S::VERSION,
            work,
            results,
            pulse,
            applied: begun.cursor,
            told_until,
            is_rebuilding: begun.is_rebuilding,
            complaints: HashMap::new(),
        };
        if begun.is_rebuilding {
            thread.work.rebuild();
        }
        if begun_sender.send(begun).is_ok() && thread.run(jobs).is_err() {
            tracing::debug!(stage = S::NAME, "work ended with its lease");
        }
        thread.pulse.end();
    };
    std::thread::Builder::new().name(name).spawn(run)?;
    Ok(begun)
}

/// The work as the checkpoint left it; else from the first message that the stream still holds.
fn begin<S: Stage>(stage: &S, partition: u16, last: Option<&Checkpoint>) -> Option<(S::Work, Begun)> {
    let cursor = last.map_or(0, |checkpoint| checkpoint.sequence);
    let is_rebuilding = false;
    match restore(stage, partition, last) {
        Ok(work) => {
            return Some((
                work,
                Begun {
                    cursor,
                    is_rebuilding,
                },
            ));
        }
        Err(why) => tracing::error!(
            stage = S::NAME,
            partition,
            why,
            "state of the checkpoint is not usable, making it again from the stream"
        ),
    }
    let begun = Begun {
        cursor: 0,
        is_rebuilding: true,
    };
    match stage.restore(partition, None) {
        Ok(work) => Some((work, begun)),
        Err(why) => {
            tracing::error!(stage = S::NAME, partition, why, "work cannot begin");
            None
        }
    }
}

fn restore<S: Stage>(stage: &S, partition: u16, last: Option<&Checkpoint>) -> Result<S::Work, String> {
    let Some(checkpoint) = last else {
        return stage.restore(partition, None);
    };
    if checkpoint.state.is_empty() {
        return Err("nothing is left of it but its place in the stream".to_owned());
    }
    let stored = state::open(&checkpoint.state, S::NAME)?;
    if stored.version == S::VERSION {
        stage.restore(partition, Some(&stored.state))
    } else {
        stage.migrate(partition, stored.version, &stored.state)
    }
}

impl<W: Work> Thread<W> {
    fn run(&mut self, mut jobs: mpsc::Receiver<Job>) -> Result<(), Gone> {
        self.pulse.rest();
        while let Some(job) = jobs.blocking_recv() {
            // What is left in the queue is read again by whoever takes over.
            if self.shared.grant.handover.is_cancelled() {
                break;
            }
            self.may_go_on()?;
            match job {
                Job::Recall(value) => self.work.recall(&value),
                Job::Item(Item::Message(message)) => {
                    self.shared.progress.begin(message.stored_ns);
                    self.work_on(&message)?;
                    self.shared.progress.end();
                }
                Job::Item(Item::Gap { missed }) => self.miss(missed),
                Job::Snapshot => self.save()?,
            }
            self.pulse.rest();
        }
        self.may_go_on()?;
        self.save()?;
        self.send(Done::End)
    }

    /// A sign of life, and whether the lease is still ours.
    fn may_go_on(&self) -> Result<(), Gone> {
        self.pulse.beat();
        if self.shared.grant.fence.is_open(Instant::now()) {
            Ok(())
        } else {
            Err(Gone)
        }
    }

    fn work_on(&mut self, message: &Incoming) -> Result<(), Gone> {
        if self.is_rebuilding && message.sequence > self.told_until {
            self.is_rebuilding = false;
            self.work.is_rebuilt();
            let (stage, until) = (self.stage, self.told_until);
            tracing::info!(stage, until, "state was made again");
        }
        for (reason, count) in self.shared.losses.take() {
            self.work.lost(reason, count);
        }
        let mut result = self.work.apply(message);
        loop {
            match result {
                Ok(applied) => {
                    let more = applied.more;
                    let outputs = self.account(applied, message);
                    if !outputs.is_empty() {
                        self.send(Done::Outputs(outputs))?;
                    }
                    if !more {
                        break;
                    }
                }
                Err(reject) => {
                    self.lose(reject.kind, 1);
                    self.complain(&reject, message.sequence);
                    break;
                }
            }
            self.may_go_on()?;
            result = self.work.resume();
        }
        self.applied = message.sequence;
        Ok(())
    }

    /// Counts what follows from a message; gives what is to be published.
    fn account(&mut self, applied: Applied, message: &Incoming) -> Vec<Output> {
        if message.sequence <= self.told_until {
            return Vec::new();
        }
        let metrics = self.shared.process.metrics.clone();
        metrics.events_received.inc_by(applied.received);
        if applied.time_ns > 0 {
            let lag = Duration::from_nanos(now_ns().saturating_sub(applied.time_ns));
            self.shared.lag_seconds.set(lag.as_secs_f64());
        }
        for (kind, events) in applied.skipped {
            metrics.drop_events(kind, events);
            let detail = format!("events on {}", message.subject);
            self.complain(&Reject { kind, detail }, message.sequence);
        }
        applied.outputs
    }

    fn miss(&mut self, missed: u64) {
        let stage = self.stage;
        tracing::warn!(stage, missed, "messages were removed before they were read");
        self.lose("retention", missed);
    }

    fn lose(&mut self, reason: &'static str, count: u64) {
        self.shared.process.metrics.drop_events(reason, count);
        self.work.lost(reason, count);
    }

    fn complain(&mut self, reject: &Reject, sequence: u64) {
        let now = Instant::now();
        let is_due = self
            .complaints
            .get(reject.kind)
            .is_none_or(|last| now.duration_since(*last) >= COMPLAINT_INTERVAL);
        if is_due {
            self.complaints.insert(reject.kind, now);
            let (stage, kind, detail) = (self.stage, reject.kind, &reject.detail);
            tracing::warn!(stage, kind, sequence, detail, "message skipped");
        }
    }

    /// Writes down the state if anything was applied since it was written last. One that is being made again is no state.
    fn save(&mut self) -> Result<(), Gone> {
        let sequence = self.applied;
        if sequence == self.shared.saved.load(Ordering::Relaxed) || self.is_rebuilding {
            return Ok(());
        }
        match self
            .work
            .snapshot()
            .and_then(|state| state::wrap(self.stage, self.version, &state))
        {
            Ok(state) => self.send(Done::Snapshot(Checkpoint { sequence, state })),
            Err(why) => {
                self.shared.process.metrics.error("snapshot");
                tracing::error!(stage = self.stage, why, "state cannot be written down");
                Ok(())
            }
        }
    }

    /// Waits for as long as the bus does not take what came before.
    fn send(&self, done: Done) -> Result<(), Gone> {
        self.pulse.rest();
        let sent = self.results.blocking_send(done).map_err(|_| Gone);
        self.pulse.beat();
        sent
    }
}
