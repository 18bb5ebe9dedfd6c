//! The lease loop. It has a thread and a connection of its own, and waits for nobody: no work, however long, costs a lease.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_client::leases::{Changes, Lease, Member};
use bus_client::{Bus, connection};
use bus_schema::names::{MAX_PARTITIONS, token};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::fence::Fence;
use crate::Process;
use crate::metrics::StageName;
use crate::process::chain;
use crate::vitals::Pulse;

/// Delay before the bus is asked again whether the streams are there.
const PROVISION_RETRY: Duration = Duration::from_secs(1);
/// A round consists of four requests at most, each of which is given up after a second and a half.
const ROUND_BOUND: Duration = Duration::from_secs(30);
/// The keeper has this long to give everything back.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// A lease as its worker sees it.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) lease: Lease,
    pub(super) fence: Fence,
    /// Cancelled when the partition is to be given back in good order.
    pub(super) handover: CancellationToken,
}

/// What this member holds, by partition.
pub(super) type Grants = BTreeMap<u16, Grant>;

/// The lease loop of one stage, from outside.
pub(super) struct Keeper {
    pub(super) grants: watch::Receiver<Grants>,
    releases: mpsc::Sender<Lease>,
    leave: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// The lease loop, from inside.
struct Loop {
    process: Process,
    stage: &'static str,
    member: String,
    partitions: u16,
    grants: watch::Sender<Grants>,
    releases: mpsc::Receiver<Lease>,
    leave: CancellationToken,
}

impl Keeper {
    /// Starts the loop for `member` of `stage`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        process: &Process,
        stage: &'static str,
        member: &str,
        partitions: u16,
    ) -> std::io::Result<Self> {
        let (grants_sender, grants) = watch::channel(Grants::new());
        let (releases, releases_receiver) = mpsc::channel(usize::from(MAX_PARTITIONS));
        let (ended_sender, ended) = oneshot::channel();
        let leave = CancellationToken::new();
        let keeping = Loop {
            process: process.clone(),
            stage,
            member: token(member),
            partitions,
            grants: grants_sender,
            releases: releases_receiver,
            leave: leave.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let pulse = process.vitals.pulse(&format!("{stage} leases"), ROUND_BOUND);
        let run = move || {
            runtime.block_on(keeping.run(&pulse));
            pulse.end();
            // Nobody may be waiting any more.
            let _ = ended_sender.send(());
        };
        std::thread::Builder::new()
            .name(format!("{stage}-leases"))
            .spawn(run)?;
        Ok(Self {
            grants,
            releases,
            leave,
            ended,
        })
    }

    /// Gives a lease back.
    pub(super) async fn release(&self, lease: Lease) {
        if self.releases.send(lease).await.is_err() {
            tracing::debug!(partition = lease.partition, "the lease loop has ended");
        }
    }

    /// Gives everything back and ends the loop.
    pub(super) async fn leave(self) {
        self.leave.cancel();
        if tokio::time::timeout(LEAVE_TIMEOUT, self.ended).await.is_err() {
            tracing::warn!("leases were not given back in time");
        }
    }
}

impl Loop {
    async fn run(mut self, pulse: &Pulse) {
        let name = format!("{}-leases", self.stage);
        let bus = match Bus::connect(&self.process.args.bus(&name)).await {
            Ok(bus) => bus,
            Err(error) => return self.cannot_connect(&error),
        };
        let leave = self.leave.clone();
        if let Some(mut member) = leave.run_until_cancelled(self.join(&bus)).await {
            self.keep(&mut member, pulse).await;
            for grant in self.grants.borrow().values() {
                grant.fence.close();
            }
            member.leave().await;
        }
        bus.drain(LEAVE_TIMEOUT / 2).await;
    }

    /// The configuration is wrong, and the process's own connection has said so.
    fn cannot_connect(&self, error: &connection::Error) {
        tracing::error!(
            stage = self.stage,
            error = chain(error),
            "no leases without a bus"
        );
        self.process.readiness.waiting(self.stage, chain(error));
    }

    /// Waits for the bus, and makes sure that the streams are there.
    async fn join(&self, bus: &Bus) -> Member {
        let readiness = &self.process.readiness;
        readiness.waiting(self.stage, "has not joined its stage yet");
        loop {
            let joined = async {
                bus_client::streams::provision(bus, self.process.args.partitions).await?;
                Member::new(bus, self.stage, &self.member, self.partitions).await
            };
            match joined.await {
                Ok(member) => return member,
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(stage = self.stage, error = why, "streams are not there yet");
                    readiness.waiting(self.stage, why);
                }
            }
            tokio::time::sleep(PROVISION_RETRY).await;
        }
    }

    async fn keep(&mut self, member: &mut Member, pulse: &Pulse) {
        let mut rounds = tokio::time::interval(member.interval());
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.beat();
            tokio::select! {
                biased;
                () = self.leave.cancelled() => return,
                _ = rounds.tick() => {
                    let changes = member.round(Instant::now()).await;
                    self.follow(member, changes);
                    self.process.readiness.ready(self.stage);
                }
                Some(lease) = self.releases.recv() => self.give_back(member, lease).await,
            }
        }
    }

    fn follow(&self, member: &Member, changes: Changes) {
        for partition in &changes.lost {
            tracing::warn!(stage = self.stage, partition, "lease lost");
            let stage = self.stage;
            self.process
                .metrics
                .leases_lost
                .get_or_create(&StageName { stage })
                .inc();
        }
        for lease in &changes.gained {
            let (partition, epoch) = (lease.partition, lease.epoch);
            tracing::info!(stage = self.stage, partition, epoch, "lease taken");
        }
        self.grants.send_if_modified(|grants| {
            let before = grants.len();
            for partition in &changes.lost {
                if let Some(grant) = grants.remove(partition) {
                    grant.fence.close();
                }
            }
            let is_modified = grants.len() != before || !changes.gained.is_empty();
            for lease in changes.gained {
                let grant = Grant {
                    lease,
                    fence: Fence::new(member.renewed(lease.partition).unwrap_or_else(Instant::now)),
                    handover: CancellationToken::new(),
                };
                grants.insert(lease.partition, grant);
            }
            for (partition, grant) in grants.iter() {
                if let Some(renewed) = member.renewed(*partition) {
                    grant.fence.renew(renewed);
                }
            }
            for grant in changes
                .surplus
                .iter()
                .filter_map(|partition| grants.get(partition))
            {
                if !grant.handover.is_cancelled() {
                    let (stage, partition) = (self.stage, grant.lease.partition);
                    tracing::info!(stage, partition, "handing over");
                    grant.handover.cancel();
                }
            }
            is_modified
        });
    }

    /// Gives back what a worker has done with, unless the lease has gone and come back since.
    async fn give_back(&self, member: &mut Member, lease: Lease) {
        let is_held = self
            .grants
            .borrow()
            .get(&lease.partition)
            .is_some_and(|grant| grant.lease == lease);
        if is_held {
            self.grants.send_modify(|grants| {
                if let Some(grant) = grants.remove(&lease.partition) {
                    grant.fence.close();
                }
            });
            member.release(lease.partition).await;
        }
    }
}
