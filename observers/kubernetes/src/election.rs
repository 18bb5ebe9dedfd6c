//! One leader among replicas, by a Lease of the API server, as client-go does it: a lease is free when its record has not
//! changed for its duration by the observer's own clock, so clocks need not agree.

mod record;

use std::time::Duration;

use bus_stage::process::chain;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use observer_base::clock::BootClock;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use record::{Move, Record};

/// A leader that has not renewed for this long is taken for dead.
const DURATION: Duration = Duration::from_secs(10);
/// How often a leader renews and the others look.
const PERIOD: Duration = Duration::from_secs(2);
/// A request that takes longer has failed: a leader must know before its lease is over.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether this replica leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// Another one does, or nobody knows.
    Standby,
    /// This one does.
    Leading {
        /// What was observed from then on, UNIX ns, the former leader may not have told; 0 when there was none.
        unattended_since_ns: u64,
    },
}

/// Follows the leadership.
pub type Watch = watch::Receiver<Leadership>;

/// Stands for election in the client's own namespace until `stop`; then gives the lease back.
pub fn stand(client: Client, lease: &'static str, clock: BootClock, stop: CancellationToken) -> Watch {
    let (state, watch) = watch::channel(Leadership::Standby);
    // Two replicas on one node have the same process id; the host name of a pod is its own.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let candidate = Candidate {
        api: Api::default_namespaced(client),
        lease,
        record: Record::new(format!("{host}_{:x}", clock.now_ns()), DURATION),
        clock,
    };
    tokio::spawn(candidate.run(state, stop));
    watch
}

struct Candidate {
    api: Api<Lease>,
    lease: &'static str,
    record: Record,
    clock: BootClock,
}

impl Candidate {
    async fn run(mut self, state: watch::Sender<Leadership>, stop: CancellationToken) {
        let mut timer = tokio::time::interval(PERIOD);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(timer.tick()).await.is_some() {
            let attempt = tokio::time::timeout(REQUEST_TIMEOUT, self.attempt()).await;
            match attempt {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    lease = self.lease,
                    error = chain(&error),
                    "lease cannot be renewed or taken"
                ),
                Err(_) => tracing::warn!(
                    lease = self.lease,
                    "the API server does not answer about the lease"
                ),
            }
            let leadership = self.record.leadership(self.clock.boot_ns());
            state.send_if_modified(|known| {
                let is_news = std::mem::discriminant(known) != std::mem::discriminant(&leadership);
                if is_news {
                    tracing::info!(
                        lease = self.lease,
                        leads = leadership != Leadership::Standby,
                        "leadership changed"
                    );
                    *known = leadership;
                }
                is_news
            });
        }
        if matches!(*state.borrow(), Leadership::Leading { .. }) {
            // Best effort: without it the others wait until the lease is over.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, self.give_back()).await;
        }
    }

    async fn attempt(&mut self) -> Result<(), kube::Error> {
        let found = self.api.get_opt(self.lease).await?;
        let (now_ns, unix_ns) = (self.clock.boot_ns(), self.clock.now_ns());
        let Some(lease) = found else {
            let spec = self.record.spec(None, unix_ns);
            let created = self.api.create(&PostParams::default(), &self.named(spec)).await;
            return self.took(created, now_ns, 0);
        };
        let former = lease.spec.clone().unwrap_or_default();
        match self.record.consider(&former, now_ns, unix_ns) {
            Move::Wait => Ok(()),
            Move::Take { unattended_since_ns } => {
                let spec = self.record.spec(Some(&former), unix_ns);
                let replaced = self.replace(lease, spec).await;
                self.took(replaced, now_ns, unattended_since_ns)
            }
        }
    }

    /// Another replica may have been faster: that is no error.
    fn took(
        &mut self,
        answer: Result<Lease, kube::Error>,
        asked_ns: u64,
        unattended_since_ns: u64,
    ) -> Result<(), kube::Error> {
        match answer {
            Ok(lease) => {
                self.record
                    .holds(lease.spec.unwrap_or_default(), asked_ns, unattended_since_ns);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Carries the version that was read, so that only one of several candidates succeeds.
    async fn replace(&self, lease: Lease, spec: LeaseSpec) -> Result<Lease, kube::Error> {
        let lease = Lease {
            spec: Some(spec),
            ..lease
        };
        self.api.replace(self.lease, &PostParams::default(), &lease).await
    }

    async fn give_back(&self) -> Result<(), kube::Error> {
        if let Some(lease) = self.api.get_opt(self.lease).await? {
            let former = lease.spec.clone().unwrap_or_default();
            if let Some(spec) = self.record.released(&former) {
                self.replace(lease, spec).await?;
            }
        }
        Ok(())
    }

    fn named(&self, spec: LeaseSpec) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.lease.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }
}
