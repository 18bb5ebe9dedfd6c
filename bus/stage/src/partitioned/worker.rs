//! One partition: read, apply, publish, checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus_client::Bus;
use bus_client::checkpoints::{Checkpoint, Checkpoints};
use bus_client::leases::Lease;
use bus_client::reader::{Incoming, Item, Reader};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivered;
use super::{Applied, Output, Reject, Stage, Work, delivery};
use crate::clock::now_ns;
use crate::process::chain;
use crate::{Process, checkpoint};

/// Outputs on their way at a time. More only adds latency.
const IN_FLIGHT: usize = 64;
/// A checkpoint this often bounds what is read again after a crash.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// The same complaint is logged this often at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

struct Worker<W> {
    process: Process,
    work: W,
    checkpoints: Checkpoints,
    applied: u64,
    saved: u64,
    complaints: HashMap<&'static str, Instant>,
    name: &'static str,
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
    let complaints = HashMap::new();
    let mut worker = Worker {
        process,
        work,
        checkpoints,
        applied: cursor,
        saved: cursor,
        complaints,
        name: S::NAME,
    };
    let mut reader = Reader::new(&bus, &stage.stream(lease.partition), cursor);
    worker.turn(&mut reader, &bus, &stop).await;
}

impl<W: Work> Worker<W> {
    async fn turn(&mut self, reader: &mut Reader, bus: &Bus, stop: &CancellationToken) {
        let mut on_their_way = FuturesOrdered::new();
        let mut checkpoints = tokio::time::interval(CHECKPOINT_INTERVAL);
        checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(delivered) = on_their_way.next(), if !on_their_way.is_empty() => self.count(&delivered),
                _ = checkpoints.tick() => {
                    while let Some(delivered) = on_their_way.next().await {
                        self.count(&delivered);
                    }
                    if !self.save().await {
                        return;
                    }
                }
                item = reader.next(), if on_their_way.len() < IN_FLIGHT => {
                    for output in self.take(item) {
                        // Entries of a bucket must not overtake each other.
                        while output.put.is_some()
                            && let Some(delivered) = on_their_way.next().await
                        {
                            self.count(&delivered);
                        }
                        on_their_way.push_back(delivery::start(bus, output).await);
                    }
                }
            }
        }
        while let Some(delivered) = on_their_way.next().await {
            self.count(&delivered);
        }
        self.save().await;
    }

    fn count(&mut self, delivered: &Delivered) {
        match delivered {
            Delivered::Sent(events) => drop(self.process.metrics.events_sent.inc_by(*events)),
            Delivered::TooLarge(events) => self.lose("too_large", *events),
        }
    }

    fn lose(&mut self, reason: &'static str, count: u64) {
        self.process.metrics.drop_events(reason, count);
        self.work.lost(reason, count);
    }

    fn take(&mut self, item: Item) -> Vec<Output> {
        let message = match item {
            Item::Message(message) => message,
            Item::Gap { missed } => {
                tracing::warn!(
                    stage = self.name,
                    missed,
                    "messages were removed before they were read"
                );
                self.lose("retention", missed);
                return Vec::new();
            }
        };
        self.applied = message.sequence;
        let metrics = &self.process.metrics;
        metrics
            .queue_depth
            .set(i64::try_from(message.pending).unwrap_or(i64::MAX));
        let mut outputs = Vec::new();
        let mut result = self.work.apply(&message);
        loop {
            match result {
                Ok(applied) => {
                    let more = applied.more;
                    outputs.extend(self.account(applied, &message));
                    if !more {
                        return outputs;
                    }
                }
                Err(reject) => {
                    self.lose(reject.kind, 1);
                    self.complain(&reject, message.sequence);
                    return outputs;
                }
            }
            result = self.work.resume();
        }
    }

    /// Counts what follows from a message; gives what is to be published.
    fn account(&mut self, applied: Applied, message: &Incoming) -> Vec<Output> {
        let metrics = &self.process.metrics;
        metrics.events_received.inc_by(applied.received);
        if applied.time_ns > 0 {
            let lag_ms = now_ns().saturating_sub(applied.time_ns) / 1_000_000;
            metrics
                .lag_milliseconds
                .set(i64::try_from(lag_ms).unwrap_or(i64::MAX));
        }
        for (kind, events) in applied.skipped {
            self.process.metrics.drop_events(kind, events);
            let detail = format!("events on {}", message.subject);
            self.complain(&Reject { kind, detail }, message.sequence);
        }
        applied.outputs
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
        let state = match self.work.snapshot() {
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
