//! One partition: read, apply, publish, checkpoint.
//!
//! The work is done on a thread for what blocks, some messages at a time. Meanwhile messages are read ahead, up to a bound, and
//! acknowledgements are awaited.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bus_client::Bus;
use bus_client::checkpoints::{Checkpoint, Checkpoints};
use bus_client::leases::Lease;
use bus_client::reader::{Incoming, Item, Reader};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::behind::{Behind, Pace, Unready};
use super::delivery::Delivered;
use super::job::{Job, Outcome};
use super::{Applied, Output, Reject, Stage, Work, delivery};
use crate::clock::now_ns;
use crate::process::chain;
use crate::{Process, checkpoint};

/// Outputs on their way at a time. More only adds latency.
const IN_FLIGHT: usize = 64;
/// Messages read ahead of the work.
const READ_AHEAD: usize = 64;
/// A checkpoint this often bounds what is read again after a crash.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// The same complaint is logged this often at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

struct Worker<W> {
    process: Process,
    /// Where it is while no job has it.
    work: Option<W>,
    /// What was lost while a job had the work.
    lost: Vec<(&'static str, u64)>,
    waiting: VecDeque<Item>,
    /// More follows from the last message.
    more: bool,
    checkpoints: Checkpoints,
    applied: u64,
    saved: u64,
    behind: Behind,
    /// While it is behind.
    unready: Option<Unready>,
    complaints: HashMap<&'static str, Instant>,
    name: &'static str,
    partition: u16,
}

/// Works on the partition of `lease` until `stop` is cancelled or the lease turns out to be over.
pub(super) async fn run<S: Stage>(process: Process, stage: Arc<S>, lease: Lease, stop: CancellationToken) {
    let bus = process.bus.clone();
    let opened = checkpoint::open(&process, S::NAME, lease.partition, lease.epoch).await;
    let (checkpoints, last) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let (stage, partition) = (S::NAME, lease.partition);
            return tracing::warn!(stage, partition, error, "checkpoint not opened");
        }
    };
    let cursor = last.as_ref().map_or(0, |checkpoint| checkpoint.sequence);
    let snapshot = last.as_ref().map(|checkpoint| checkpoint.state.as_slice());
    let snapshot = snapshot.filter(|state| !state.is_empty());
    let work = match stage.restore(lease.partition, snapshot).or_else(|why| {
        tracing::error!(
            stage = S::NAME,
            why,
            "state of the checkpoint is not usable, beginning with none"
        );
        stage.restore(lease.partition, None)
    }) {
        Ok(work) => work,
        Err(why) => return tracing::error!(stage = S::NAME, why, "work cannot begin"),
    };
    let mut worker = Worker {
        process,
        work: Some(work),
        lost: Vec::new(),
        waiting: VecDeque::new(),
        more: false,
        checkpoints,
        applied: cursor,
        saved: cursor,
        behind: Behind::default(),
        unready: None,
        complaints: HashMap::new(),
        name: S::NAME,
        partition: lease.partition,
    };
    let mut reader = Reader::new(&bus, &stage.stream(lease.partition), cursor);
    worker.turn(&mut reader, &bus, &stop).await;
}

impl<W: Work> Worker<W> {
    async fn turn(&mut self, reader: &mut Reader, bus: &Bus, stop: &CancellationToken) {
        let mut on_their_way = FuturesOrdered::new();
        let mut job: Option<JoinHandle<Job<W>>> = None;
        let mut checkpoints = tokio::time::interval(CHECKPOINT_INTERVAL);
        checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_checkpoint_due = false;
        loop {
            if job.is_none() && is_checkpoint_due && !self.more {
                is_checkpoint_due = false;
                while let Some(delivered) = on_their_way.next().await {
                    self.count(&delivered);
                }
                if !self.save().await {
                    return;
                }
            }
            let is_stopping = stop.is_cancelled();
            if job.is_none() && on_their_way.len() < IN_FLIGHT && (self.more || !is_stopping) {
                job = self.begin();
            }
            if is_stopping && job.is_none() && !self.more {
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled(), if !is_stopping => {}
                Some(delivered) = on_their_way.next(), if !on_their_way.is_empty() => self.count(&delivered),
                Some(done) = done(&mut job) => {
                    job = None;
                    let Ok(done) = done else {
                        self.process.metrics.error("work_panicked");
                        return tracing::error!(stage = self.name, "the work has panicked, and begins again from its last checkpoint");
                    };
                    for output in self.take(done) {
                        // Entries of a bucket must not overtake each other.
                        while output.put.is_some()
                            && let Some(delivered) = on_their_way.next().await
                        {
                            self.count(&delivered);
                        }
                        on_their_way.push_back(delivery::start(bus, output).await);
                    }
                }
                _ = checkpoints.tick() => is_checkpoint_due = true,
                item = reader.next(), if self.waiting.len() < READ_AHEAD => self.waiting.push_back(item),
            }
        }
        // What was read ahead is read again by who takes the partition up.
        while let Some(delivered) = on_their_way.next().await {
            self.count(&delivered);
        }
        self.save().await;
    }

    /// Starts the next job, where there is something to do.
    fn begin(&mut self) -> Option<JoinHandle<Job<W>>> {
        if self.waiting.is_empty() && !self.more {
            return None;
        }
        self.note_losses();
        let work = self.work.take()?;
        let job = Job::new(work, std::mem::take(&mut self.waiting), self.more);
        Some(tokio::task::spawn_blocking(move || job.run()))
    }

    fn note_losses(&mut self) {
        if let Some(work) = &mut self.work {
            for (reason, count) in self.lost.drain(..) {
                work.lost(reason, count);
            }
        }
    }

    /// Takes the work back, and what is to be published.
    fn take(&mut self, done: Job<W>) -> Vec<Output> {
        let Job {
            work,
            waiting: mut left,
            more,
            outcomes,
        } = done;
        left.append(&mut self.waiting);
        (self.work, self.waiting, self.more) = (Some(work), left, more);
        let mut outputs = Vec::new();
        for outcome in outcomes {
            outputs.extend(self.account(outcome));
        }
        outputs
    }

    fn account(&mut self, outcome: Outcome) -> Vec<Output> {
        match outcome {
            Outcome::Message(message, result) => {
                self.applied = message.sequence;
                let depth = i64::try_from(message.pending).unwrap_or(i64::MAX);
                self.process.metrics.queue_depth.set(depth);
                match result {
                    Ok(applied) => self.account_applied(applied, Some(&message)),
                    Err(reject) => self.reject(&reject),
                }
            }
            Outcome::Rest(Ok(applied)) => self.account_applied(applied, None),
            Outcome::Rest(Err(reject)) => self.reject(&reject),
            Outcome::Gap(missed) => {
                let stage = self.name;
                tracing::warn!(stage, missed, "messages were removed before they were read");
                self.lose("retention", missed);
                Vec::new()
            }
        }
    }

    fn account_applied(&mut self, applied: Applied, message: Option<&Incoming>) -> Vec<Output> {
        let metrics = &self.process.metrics;
        metrics.events_received.inc_by(applied.received);
        for (reason, events) in &applied.skipped {
            metrics.drop_events(reason, *events);
        }
        if applied.time_ns > 0 {
            let lag = Duration::from_nanos(now_ns().saturating_sub(applied.time_ns));
            let lag_ms = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
            metrics.lag_milliseconds.set(lag_ms);
            self.note_pace(lag, message.map_or(0, |message| message.pending));
        }
        if let Some(message) = message {
            for (reason, _) in &applied.skipped {
                let reject = Reject {
                    kind: reason,
                    detail: format!("events on {}", message.subject),
                };
                self.complain(&reject, message.sequence);
            }
        }
        applied.outputs
    }

    fn note_pace(&mut self, lag: Duration, pending: u64) {
        match self.behind.note(lag, Instant::now()) {
            Pace::KeepsUp => self.unready = None,
            Pace::Behind { tell: false } => {}
            Pace::Behind { tell: true } => {
                let why = format!("{} s behind, with {pending} messages to read", lag.as_secs());
                tracing::warn!(stage = self.name, partition = self.partition, why, "does not keep up");
                self.lost.push(("behind", pending.max(1)));
                let what = format!("{}/{}", self.name, self.partition);
                // the one before takes back what it has said when it goes
                self.unready = None;
                self.unready = Some(Unready::new(&self.process.readiness, what, why));
            }
        }
    }

    fn count(&mut self, delivered: &Delivered) {
        match delivered {
            Delivered::Sent(events) => drop(self.process.metrics.events_sent.inc_by(*events)),
            Delivered::TooLarge(events) => self.lose("too_large", *events),
        }
    }

    fn lose(&mut self, reason: &'static str, count: u64) {
        self.process.metrics.drop_events(reason, count);
        self.lost.push((reason, count));
    }

    fn reject(&mut self, reject: &Reject) -> Vec<Output> {
        self.lose(reject.kind, 1);
        self.complain(reject, self.applied);
        Vec::new()
    }

    fn complain(&mut self, reject: &Reject, sequence: u64) {
        let now = Instant::now();
        let is_due = self
            .complaints
            .get(reject.kind)
            .is_none_or(|last| now.duration_since(*last) >= COMPLAINT_INTERVAL);
        if is_due {
            self.complaints.insert(reject.kind, now);
            tracing::warn!(
                stage = self.name,
                kind = reject.kind,
                sequence,
                detail = reject.detail,
                "message skipped"
            );
        }
    }

    /// Writes a checkpoint if anything was applied since the last one. Says whether the work may go on.
    async fn save(&mut self) -> bool {
        if self.applied == self.saved {
            return true;
        }
        self.note_losses();
        // A job that is under way has the work: the last checkpoint stays.
        let Some(work) = self.work.take() else {
            return true;
        };
        let written = tokio::task::spawn_blocking(move || {
            let state = work.snapshot();
            (work, state)
        });
        let state = match written.await {
            Ok((work, state)) => {
                self.work = Some(work);
                state
            }
            Err(error) => {
                tracing::error!(stage = self.name, error = %error, "the work has panicked");
                return false;
            }
        };
        let state = match state {
            Ok(state) => state,
            Err(why) => {
                self.process.metrics.error("snapshot");
                tracing::error!(stage = self.name, why, "state cannot be written down");
                return true;
            }
        };
        match self
            .checkpoints
            .write(&Checkpoint {
                sequence: self.applied,
                state,
            })
            .await
        {
            Ok(()) => self.saved = self.applied,
            Err(error @ bus_client::checkpoints::Error::Fenced { .. }) => {
                tracing::warn!(stage = self.name, error = %error, "another member works here now");
                return false;
            }
            Err(error) => {
                self.process.metrics.error("checkpoint");
                tracing::warn!(stage = self.name, error = chain(&error), "checkpoint not written");
            }
        }
        true
    }
}

/// The job that runs, when it is done; nothing while none runs.
async fn done<W>(job: &mut Option<JoinHandle<Job<W>>>) -> Option<Result<Job<W>, tokio::task::JoinError>> {
    match job {
        Some(job) => Some(job.await),
        None => None,
    }
}
