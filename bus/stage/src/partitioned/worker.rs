//! One partition: what is read goes to the thread that works, what comes of it to the bus, and then the checkpoint moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bus_client::checkpoints::{Checkpoint, Checkpoints};
use bus_client::losses::Losses;
use bus_client::reader::Reader;
use bus_client::{Bus, streams};
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::behind::{Progress, Watched};
use super::delivery::{self, Delivered};
use super::keeper::Grant;
use super::thread::{self, Done, Job, Shared};
use super::{Output, Stage, Tenure};
use crate::process::chain;
use crate::{Process, checkpoint};

/// Messages that are read while the work goes on. Some milliseconds of work at full speed; more only takes memory.
const QUEUE: usize = 64;
/// Results that wait for the bus.
const RESULTS: usize = 64;
/// Outputs on their way at a time. More only adds latency.
const IN_FLIGHT: usize = 64;
/// A checkpoint this often bounds what is read again after a crash.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// Delay before what was told is asked for again.
const RECALL_RETRY: Duration = Duration::from_secs(1);

/// Works on the partition of `grant` until it is to be given back, or the lease is gone: then at once.
pub(super) async fn run<S: Stage>(process: Process, stage: Arc<S>, grant: Grant) {
    let fence = grant.fence.clone();
    tokio::select! {
        biased;
        () = fence.closed() => {}
        () = work(process, stage, grant) => {}
    }
}

async fn work<S: Stage>(process: Process, stage: Arc<S>, grant: Grant) {
    let (name, partition, epoch) = (S::NAME, grant.lease.partition, grant.lease.epoch);
    let (checkpoints, last) = match checkpoint::open(&process, name, partition, epoch).await {
        Ok(opened) => opened,
        Err(error) => return tracing::warn!(stage = name, partition, error, "checkpoint not opened"),
    };
    let gauges = process.metrics.partition(name, partition);
    let saved = last.as_ref().map_or(0, |checkpoint| checkpoint.sequence);
    let shared = Shared {
        process: process.clone(),
        grant: grant.clone(),
        progress: Arc::new(Progress::default()),
        losses: Losses::default(),
        saved: Arc::new(AtomicU64::new(saved)),
        lag_seconds: gauges.lag_seconds.gauge.clone(),
    };
    let watched = Watched {
        process,
        stage: name,
        partition,
        progress: Arc::clone(&shared.progress),
        losses: shared.losses.clone(),
    };
    let (jobs, jobs_receiver) = mpsc::channel(QUEUE);
    let (results_sender, results) = mpsc::channel(RESULTS);
    let started = thread::start(
        shared.clone(),
        Arc::clone(&stage),
        last,
        jobs_receiver,
        results_sender,
    );
    let begun = match started {
        Ok(begun) => begun,
        Err(error) => return tracing::error!(stage = name, error = %error, "no thread for the work"),
    };
    // One that does not begin has said why.
    let Ok(begun) = begun.await else { return };
    stage.begin(partition, Tenure::new(&grant));
    let feed = async {
        if let (true, Some(bucket)) = (begun.is_rebuilding, S::RECALLS) {
            recall(&shared.process.bus, bucket, &jobs).await;
        }
        let reader = Reader::new(&shared.process.bus, &stage.stream(partition), begun.cursor);
        let reader = if S::IS_COMPACTED {
            reader.compacted()
        } else {
            reader
        };
        feed(&shared, reader, jobs).await;
        std::future::pending::<()>().await;
    };
    let deliver = Delivery {
        shared: shared.clone(),
        checkpoints,
        stage: name,
    };
    tokio::select! {
        () = feed => {}
        () = watched.watch(&gauges) => {}
        () = deliver.run(results) => {}
    }
}

/// Reads on, as far as the queue goes.
async fn feed(shared: &Shared, mut reader: Reader, jobs: mpsc::Sender<Job>) {
    let mut checkpoints = tokio::time::interval(CHECKPOINT_INTERVAL);
    checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = async {
        loop {
            let job = tokio::select! {
                biased;
                _ = checkpoints.tick() => Job::Snapshot,
                item = reader.next() => {
                    shared.progress.read(&item);
                    Job::Item(item)
                }
            };
            if jobs.send(job).await.is_err() {
                return;
            }
        }
    };
    shared.grant.handover.run_until_cancelled(reading).await;
}

/// Reminds the work of what was told, as far as the bucket goes.
async fn recall(bus: &Bus, bucket: &'static str, jobs: &mpsc::Sender<Job>) {
    loop {
        let recalled = async {
            let store = streams::bucket(bus, bucket)
                .await
                .map_err(|error| chain(&error))?;
            let keys = store.keys().await.map_err(|error| chain(&error))?;
            let keys: Vec<String> = keys.try_collect().await.map_err(|error| chain(&error))?;
            for key in keys {
                let value = store.get(key).await.map_err(|error| chain(&error))?;
                if let Some(value) = value
                    && jobs.send(Job::Recall(value)).await.is_err()
                {
                    break;
                }
            }
            Ok::<(), String>(())
        };
        match recalled.await {
            Ok(()) => return,
            Err(error) => tracing::warn!(bucket, error, "what was told cannot be read yet"),
        }
        tokio::time::sleep(RECALL_RETRY).await;
    }
}

/// The way of results to the bus.
struct Delivery {
    shared: Shared,
    checkpoints: Checkpoints,
    stage: &'static str,
}

impl Delivery {
    /// Publishes results in order until the last, or until the lease is gone.
    async fn run(mut self, mut results: mpsc::Receiver<Done>) {
        let mut on_their_way = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some(delivered) = on_their_way.next(), if !on_their_way.is_empty() => self.count(&delivered),
                done = results.recv(), if on_their_way.len() < IN_FLIGHT => {
                    if !self.shared.grant.fence.is_open(Instant::now()) {
                        return;
                    }
                    match done {
                        Some(Done::Outputs(outputs)) => for output in outputs {
                            // Entries of a bucket must not overtake each other.
                            while output.put.is_some()
                                && let Some(delivered) = on_their_way.next().await
                            {
                                self.count(&delivered);
                            }
                            if !self.shared.grant.fence.is_open(Instant::now()) {
                                return;
                            }
                            on_their_way.push_back(self.start(output).await);
                        },
                        Some(Done::Snapshot(checkpoint)) => {
                            while let Some(delivered) = on_their_way.next().await {
                                self.count(&delivered);
                            }
                            if !self.save(&checkpoint).await {
                                return;
                            }
                        }
                        Some(Done::End) => break,
                        None => return self.complain(),
                    }
                }
            }
        }
        while let Some(delivered) = on_their_way.next().await {
            self.count(&delivered);
        }
    }

    async fn start(&self, output: Output) -> impl Future<Output = Delivered> + Send + use<> {
        delivery::start(&self.shared.process.bus, output).await
    }

    fn complain(&self) {
        self.shared.process.metrics.error("worker");
        let (stage, partition) = (self.stage, self.shared.grant.lease.partition);
        tracing::error!(stage, partition, "work ended without a last word");
    }

    fn count(&self, delivered: &Delivered) {
        let metrics = &self.shared.process.metrics;
        match delivered {
            Delivered::Sent(events) => drop(metrics.events_sent.inc_by(*events)),
            Delivered::TooLarge(events) => {
                metrics.drop_events("too_large", *events);
                self.shared.losses.add("too_large", *events);
            }
        }
    }

    /// Writes a checkpoint, behind the effects that it contains. Says whether the work may go on.
    async fn save(&mut self, checkpoint: &Checkpoint) -> bool {
        if !self.shared.grant.fence.is_open(Instant::now()) {
            return false;
        }
        match self.checkpoints.write(checkpoint).await {
            Ok(()) => self.shared.saved.store(checkpoint.sequence, Ordering::Relaxed),
            Err(error @ bus_client::checkpoints::Error::Fenced { .. }) => {
                tracing::warn!(stage = self.stage, error = %error, "another member works here now");
                return false;
            }
            Err(error) => {
                self.shared.process.metrics.error("checkpoint");
                tracing::warn!(
                    stage = self.stage,
                    error = chain(&error),
                    "checkpoint not written"
                );
            }
        }
        true
    }
}
