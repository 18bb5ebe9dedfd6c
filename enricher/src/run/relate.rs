//! Keeps the relations up to date with what the watches tell, and publishes them while this member has the role: exactly one
//! does, the one that holds the first partition.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus_client::connection::Status;
use bus_client::publisher::Outgoing;
use bus_client::topology;
use bus_schema::entity::POD_KIND;
use bus_schema::names::{TOPOLOGY_ENDED_MAX_AGE, TOPOLOGY_TIME, TOPOLOGY_TIME_INTERVAL, topology_subject};
use bus_schema::{Relations, SCHEMA_VERSION};
use bus_stage::Process;
use bus_stage::partitioned::Tenure;
use bus_stage::process::chain;
use futures_util::StreamExt;
use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::watches::Shared;
use crate::relations::Store;

/// Changes wait this long for others, so that a rollout is told once and not pod by pod.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// Delay before what the bus did not take is told again.
const RETRY: Duration = Duration::from_secs(1);
/// Messages on their way at a time.
const IN_FLIGHT: usize = 64;
/// Messages that are made at a time.
const AT_A_TIME: usize = 1024;
/// Without these, pods of a Deployment pass for pods of a `ReplicaSet`. So nothing is told before they are listed …
const WANTED: [&str; 2] = [ReplicaSet::KIND, Job::KIND];
/// … but for this long only: their permission may be missing, and events name such pods alike.
const PATIENCE: Duration = Duration::from_secs(30);

/// The relations, shared by the watches that tell and the task that publishes.
#[derive(Debug, Default)]
pub struct Related {
    store: Mutex<Store>,
    changed: Notify,
}

impl Related {
    /// Works with the store.
    pub fn with<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        work(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the store of something; what follows from it is told soon.
    pub fn change(&self, tell: impl FnOnce(&mut Store)) {
        self.with(tell);
        self.changed.notify_one();
    }
}

/// The task.
#[derive(Debug)]
pub struct Relating {
    /// Its process.
    pub process: Process,
    /// Who is at the top of a chain of owners.
    pub topology: Shared,
    /// What the watches tell.
    pub related: Arc<Related>,
    /// The tenure of the role, while this member has it.
    pub role: watch::Receiver<Option<Tenure>>,
    /// The clock, UNIX ns.
    pub now_ns: fn() -> u64,
}

/// Why not everything was told.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("what was told before is not known")]
    Read(#[source] topology::ReadError),
    #[error("relations were not published")]
    Put(#[source] bus_client::publisher::Error),
    #[error("relations cannot be encoded")]
    Encode(#[source] rmp_serde::encode::Error),
}

impl Relating {
    /// Runs until the process stops.
    pub async fn run(mut self) {
        let stop = self.process.stop.clone();
        stop.run_until_cancelled(self.relate()).await;
    }

    async fn relate(&mut self) {
        // Whether it is known what the stream holds, since this member has the role.
        let mut is_adopted = false;
        let mut connection = self.process.bus.status();
        // Whoever gets the role tells the time at once.
        let first = Instant::now() + TOPOLOGY_TIME_INTERVAL;
        let mut times = tokio::time::interval_at(first, TOPOLOGY_TIME_INTERVAL);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let (mut is_time_due, mut was_away) = (false, false);
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = self.related.changed.notified() => tokio::time::sleep(DEBOUNCE).await,
                Ok(()) = self.role.changed() => is_adopted = false,
                // A server may come back without its store.
                Ok(()) = connection.changed() => match *connection.borrow_and_update() {
                    Status::Connected => is_adopted &= !std::mem::take(&mut was_away),
                    Status::Disconnected => was_away = true,
                    Status::Denied(_) => {}
                },
                _ = times.tick() => is_time_due = true,
                () = tokio::time::sleep(RETRY), if has_failed => {}
            }
            self.derive();
            let tenure = self.role.borrow().clone();
            let tenure = tenure.filter(|tenure| tenure.lasts(Instant::now()));
            let Some(tenure) = tenure else {
                is_adopted = false;
                continue;
            };
            let may_wait = began.elapsed() < PATIENCE;
            let is_known =
                |store: &mut Store| store.are_listed(&[POD_KIND]) && (!may_wait || store.are_listed(&WANTED));
            if !self.related.with(is_known) {
                continue;
            }
            let told = tokio::select! {
                told = self.tell(&mut is_adopted, &tenure, is_time_due) => told,
                () = tenure.ended() => {
                    is_adopted = false;
                    continue;
                }
            };
            has_failed = told.is_err();
            match told {
                Ok(()) => is_time_due = false,
                Err(error) => {
                    self.process.metrics.error("topology");
                    tracing::warn!(error = chain(&error), "relations will be told again");
                }
            }
        }
    }

    /// Draws the conclusions from what the watches told.
    fn derive(&self) {
        let left_out = self.related.with(|store| {
            let topology = self.topology.read().unwrap_or_else(PoisonError::into_inner);
            store.resolve(|owner| topology.top_of(owner));
            drop(topology);
            store.derive((self.now_ns)());
            store.take_left_out()
        });
        if left_out > 0 {
            self.process.metrics.evict("relations", left_out);
            tracing::warn!(left_out, "more relations than are remembered");
        }
    }

    async fn tell(&self, is_adopted: &mut bool, tenure: &Tenure, is_time_due: bool) -> Result<(), Error> {
        let is_new = !*is_adopted;
        if is_new {
            self.adopt().await?;
            *is_adopted = true;
        }
        while tenure.lasts(Instant::now()) {
            let messages = self
                .related
                .with(|store| store.take_untold(AT_A_TIME, (self.now_ns)()));
            if messages.is_empty() {
                break;
            }
            self.publish(messages, tenure).await?;
        }
        if (is_time_due || is_new) && tenure.lasts(Instant::now()) {
            let time = self.with_origin(Relations {
                told_ns: (self.now_ns)(),
                ..Relations::default()
            });
            self.put(TOPOLOGY_TIME.to_owned(), &time).await?;
        }
        Ok(())
    }

    /// Reads what the stream holds: only what differs from it is told.
    async fn adopt(&self) -> Result<(), Error> {
        let held = topology::newest(&self.process.bus).await.map_err(Error::Read)?;
        let mut told = Vec::with_capacity(held.len());
        for message in held {
            match Relations::decode(&message.payload) {
                Ok(relations) if relations.is_heartbeat() => {}
                Ok(relations) => told.push(relations),
                Err(error) => {
                    let subject = message.subject;
                    tracing::warn!(
                        subject,
                        error = chain(&error),
                        "relations that were told are skipped"
                    );
                }
            }
        }
        let known = told.len();
        let relations = self.related.with(|store| {
            store.adopt(&told, (self.now_ns)());
            store.count()
        });
        tracing::info!(known, relations, "tells of relations from here on");
        Ok(())
    }

    /// Publishes messages of different subjects, of which any may overtake another. What does not arrive is told again.
    async fn publish(&self, messages: Vec<Relations>, tenure: &Tenure) -> Result<(), Error> {
        let sending = messages.into_iter().map(|message| async move {
            let message = self.with_origin(message);
            let subject = topology_subject(&message.relation, &message.from);
            let sent = if tenure.lasts(Instant::now()) {
                self.put(subject, &message).await.map(|()| true)
            } else {
                Ok(false)
            };
            (message, sent)
        });
        let mut sending = futures_util::stream::iter(sending).buffer_unordered(IN_FLIGHT);
        let mut result = Ok(());
        while let Some((message, sent)) = sending.next().await {
            if !matches!(sent, Ok(true)) {
                self.related.with(|store| store.tell_again(&message));
            }
            if let Err(error) = sent {
                result = Err(error);
            }
        }
        result
    }

    async fn put(&self, subject: String, relations: &Relations) -> Result<(), Error> {
        let outgoing = Outgoing {
            subject,
            message_id: None,
            events: 0,
            payload: relations.encode().map_err(Error::Encode)?.into(),
        };
        let has_ended = !relations.is_heartbeat() && !relations.holds();
        let max_age = has_ended.then_some(TOPOLOGY_ENDED_MAX_AGE);
        topology::put(&self.process.bus, &outgoing, max_age)
            .await
            .map_err(Error::Put)
    }

    fn with_origin(&self, relations: Relations) -> Relations {
        Relations {
            schema: SCHEMA_VERSION,
            cluster: self.process.args.cluster.clone(),
            ..relations
        }
    }
}
