//! A stage that works on partitions: it takes those it may by lease, reads each in order, publishes what follows from each
//! message, and writes down how far it has come.
//!
//! The work is a function of the messages and its state. Its effects are published under ids that follow from the input,
//! and only then does the checkpoint move; so whatever is killed at whatever moment, the same effects follow, once.
//!
//! Leases, work and the bus wait for each other nowhere: leases have a thread and a connection of their own, the work on each
//! partition has a thread, and what lies between them is bounded.

mod behind;
mod delivery;
mod fence;
mod keeper;
mod tenure;
mod thread;
mod work;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus_client::connection::Status;
use bus_client::leases::Lease;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

pub use tenure::Tenure;
pub use work::{Applied, Output, Put, Reject, Stage, Work};

use crate::Process;
use keeper::{Grant, Grants, Keeper};

/// Partitions that are given back in good order have this long for their last checkpoints.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before the bus is asked again whether the streams are there.
const PROVISION_RETRY: Duration = Duration::from_secs(1);

/// The workers of this member.
struct Workers<S> {
    process: Process,
    stage: Arc<S>,
    tasks: JoinSet<()>,
    running: HashMap<Id, Grant>,
}

/// Runs a stage until the process stops. `member` must be unique among the processes of the stage.
pub async fn run<S: Stage>(process: Process, stage: S, member: &str) {
    let mut keeper = match Keeper::start(&process, S::NAME, member, stage.partitions()) {
        Ok(keeper) => keeper,
        Err(error) => {
            process.readiness.waiting(S::NAME, error.to_string());
            return tracing::error!(stage = S::NAME, error = %error, "no thread for the leases");
        }
    };
    tokio::spawn(keep_streams(process.clone(), process.bus.status()));
    let mut workers = Workers {
        process: process.clone(),
        stage: Arc::new(stage),
        tasks: JoinSet::new(),
        running: HashMap::new(),
    };
    loop {
        tokio::select! {
            changed = keeper.grants.changed() => {
                if changed.is_err() {
                    tracing::error!(stage = S::NAME, "the lease loop has ended");
                    break;
                }
                workers.begin_new(&keeper.grants.borrow_and_update());
            }
            Some(lease) = workers.next_ended(), if !workers.tasks.is_empty() => keeper.release(lease).await,
            () = process.stop.cancelled() => break,
        }
    }
    workers.finish().await;
    keeper.leave().await;
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

impl<S: Stage> Workers<S> {
    fn begin_new(&mut self, grants: &Grants) {
        for grant in grants.values() {
            if self.running.values().any(|other| other.lease == grant.lease) {
                continue;
            }
            let work = worker::run(self.process.clone(), Arc::clone(&self.stage), grant.clone());
            let task = self.tasks.spawn(work);
            self.running.insert(task.id(), grant.clone());
        }
    }

    /// The lease of a worker that ended. Whoever takes its partition up goes on from the last checkpoint.
    async fn next_ended(&mut self) -> Option<Lease> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                self.process.metrics.error("worker");
                tracing::error!(stage = S::NAME, error = %error, "worker ended badly");
                error.id()
            }
        };
        let grant = self.running.remove(&id)?;
        grant.fence.close();
        Some(grant.lease)
    }

    /// Ends all, at the same time; who does not come to an end is cut off.
    async fn finish(&mut self) {
        for grant in self.running.values() {
            grant.handover.cancel();
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let ended = tokio::time::timeout_at(Instant::now() + HANDOVER_TIMEOUT, all).await;
        for grant in self.running.values() {
            grant.fence.close();
        }
        if ended.is_err() {
            tracing::warn!(stage = S::NAME, "work was cut off before its last checkpoint");
        }
        self.tasks.shutdown().await;
    }
}
