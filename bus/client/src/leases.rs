//! Who works on which partition: keys in a bucket that the server removes when they are not renewed.
//!
//! Only the server's clock counts. The revision under which a lease was created is its epoch: it grows with every hand-over,
//! so a holder that was asleep cannot pass for the present one.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use bus_schema::names::{LEASE_RENEWAL, LEASE_TTL, LEASES_BUCKET};
use bytes::Bytes;
use tokio::time::Instant;

use crate::connection::Bus;
use crate::{listing, streams};

/// Longest wait for one answer of the bucket: several fit into a lease.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1500);

/// A partition that this member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which partition.
    pub partition: u16,
    /// Grows with every hand-over.
    pub epoch: u64,
}

#[derive(Debug)]
struct Held {
    revision: u64,
    renewed: Instant,
}

/// What changed in one round.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Partitions to begin with.
    pub gained: Vec<Lease>,
    /// Partitions to stop at once: they are, or may be, somebody else's.
    pub lost: Vec<u16>,
    /// Partitions to hand over in good order, because another member has too few.
    pub surplus: Vec<u16>,
}

/// This process as a member of a stage.
#[derive(Debug)]
pub struct Member {
    bus: Bus,
    store: Store,
    stage: &'static str,
    name: String,
    partitions: u16,
    held: BTreeMap<u16, Held>,
}

impl Member {
    /// A member called `name` of a stage with that many partitions.
    pub async fn new(
        bus: &Bus,
        stage: &'static str,
        name: &str,
        partitions: u16,
    ) -> Result<Self, streams::Error> {
        let store = streams::bucket(bus, LEASES_BUCKET).await?;
        Ok(Self {
            bus: bus.clone(),
            store,
            stage,
            name: name.to_owned(),
            partitions,
            held: BTreeMap::new(),
        })
    }

    /// How often [`Self::round`] wants to be called.
    pub fn interval(&self) -> Duration {
        LEASE_RENEWAL
    }

    /// When the lease of a partition was last asked for and granted; `None` where it is not held.
    pub fn renewed(&self, partition: u16) -> Option<Instant> {
        self.held.get(&partition).map(|held| held.renewed)
    }

    /// Says that it lives, renews what it holds, takes what is free up to its share.
    pub async fn round(&mut self, now: Instant) -> Changes {
        let mut changes = Changes {
            lost: self.renew(now).await,
            ..Changes::default()
        };
        self.announce().await;
        let Some((members, taken)) = self.look().await else {
            return changes;
        };
        let share = usize::from(self.partitions).div_ceil(members.max(1));
        for partition in (0..self.partitions).filter(|partition| !taken.contains(partition)) {
            if self.held.len() < share && !self.held.contains_key(&partition) {
                changes.gained.extend(self.take(partition, now).await);
            }
        }
        changes.surplus = self
            .held
            .keys()
            .rev()
            .take(self.held.len().saturating_sub(share))
            .copied()
            .collect();
        changes
    }

    /// Gives a partition back, so that another member need not wait for its lease to end.
    pub async fn release(&mut self, partition: u16) {
        if let Some(held) = self.held.remove(&partition) {
            let deletion = self
                .store
                .delete_expect_revision(self.lease_key(partition), Some(held.revision));
            drop(tokio::time::timeout(REQUEST_TIMEOUT, deletion).await);
        }
    }

    /// Gives everything back and leaves.
    pub async fn leave(&mut self) {
        for partition in self.held.keys().copied().collect::<Vec<_>>() {
            self.release(partition).await;
        }
        drop(tokio::time::timeout(REQUEST_TIMEOUT, self.store.delete(self.member_key())).await);
    }

    /// Renews all leases at the same time: a slow bus must not cost the last one. Gives those that are gone.
    async fn renew(&mut self, now: Instant) -> Vec<u16> {
        let renewals = self.held.iter().map(|(partition, held)| {
            let (key, name) = (self.lease_key(*partition), self.name.clone());
            let (store, revision, partition) = (&self.store, held.revision, *partition);
            async move {
                let renewal = store.update(key, name.into(), revision);
                (partition, tokio::time::timeout(REQUEST_TIMEOUT, renewal).await)
            }
        });
        let renewals = futures_util::future::join_all(renewals).await;
        let mut lost = Vec::new();
        for (partition, renewal) in renewals {
            let own = match &renewal {
                Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    self.own_revision(partition).await
                }
                Ok(Ok(_) | Err(_)) | Err(_) => None,
            };
            let Some(held) = self.held.get_mut(&partition) else {
                continue;
            };
            match (renewal, own) {
                (Ok(Ok(revision)), _) => (held.revision, held.renewed) = (revision, now),
                // A renewal was stored whose answer came too late.
                (_, Some(revision)) => held.revision = revision,
                // Somebody else has it, or it ran out.
                (Ok(Err(error)), None) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    lost.push(partition);
                }
                (Ok(Err(_)) | Err(_), None) if now.duration_since(held.renewed) >= LEASE_TTL => {
                    lost.push(partition);
                }
                (Ok(Err(_)) | Err(_), None) => {}
            }
        }
        self.held.retain(|partition, _| !lost.contains(partition));
        lost
    }

    /// Revision of a lease that is there in our name: nobody else writes that, and where it is missing it is made only by taking
    /// it.
    async fn own_revision(&self, partition: u16) -> Option<u64> {
        let entry = self.store.entry(self.lease_key(partition));
        let entry = tokio::time::timeout(REQUEST_TIMEOUT, entry).await.ok()?.ok()??;
        (entry.operation == Operation::Put && *entry.value == *self.name.as_bytes()).then_some(entry.revision)
    }

    async fn announce(&self) {
        let announcement = self.store.put(self.member_key(), Bytes::new());
        if !matches!(
            tokio::time::timeout(REQUEST_TIMEOUT, announcement).await,
            Ok(Ok(_))
        ) {
            tracing::debug!(stage = self.stage, "membership not announced");
        }
    }

    /// Live members, and partitions that somebody holds.
    async fn look(&self) -> Option<(usize, Vec<u16>)> {
        let (member_prefix, lease_prefix) = (
            format!("{}.member.", self.stage),
            format!("{}.lease.", self.stage),
        );
        let pattern = format!("{}.>", self.stage);
        let listing = listing::keys(&self.bus, &self.store, &pattern);
        let keys = match tokio::time::timeout(REQUEST_TIMEOUT, listing).await {
            Ok(Ok(keys)) => keys,
            Ok(Err(error)) => {
                tracing::debug!(stage = self.stage, error = %error, "leases not listed");
                return None;
            }
            Err(_) => return None,
        };
        let members = keys.iter().filter(|key| key.starts_with(&member_prefix)).count();
        let taken = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&lease_prefix)?.parse().ok())
            .collect();
        Some((members, taken))
    }

    async fn take(&mut self, partition: u16, now: Instant) -> Option<Lease> {
        let creation = self
            .store
            .create(self.lease_key(partition), self.name.clone().into());
        match tokio::time::timeout(REQUEST_TIMEOUT, creation).await {
            Ok(Ok(revision)) => {
                self.held.insert(
                    partition,
                    Held {
                        revision,
                        renewed: now,
                    },
                );
                Some(Lease {
                    partition,
                    epoch: revision,
                })
            }
            Ok(Err(error)) if error.kind() == CreateErrorKind::AlreadyExists => None,
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn member_key(&self) -> String {
        format!("{}.member.{}", self.stage, self.name)
    }

    fn lease_key(&self, partition: u16) -> String {
        format!("{}.lease.{partition}", self.stage)
    }
}
