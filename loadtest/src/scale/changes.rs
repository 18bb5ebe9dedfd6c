//! Changes at a steady rate, and when the bus tells of each.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bus_client::Bus;
use bus_client::codec::Codec;
use bus_client::reader::{Item, Reader};
use bus_schema::Entity;
use bus_schema::entity::Workload;
use bus_schema::event::Body;
use bus_schema::names::{ENRICHED_STREAM, partition_stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, sleep};

use super::world::{World, place};

/// What comes later than that after the last change does not come any more.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How late changes were told.
#[derive(Debug, Default, Serialize)]
pub struct Lags {
    /// How many changes the API server took.
    pub made: usize,
    /// Within what time.
    pub seconds: f64,
    /// How long it took for that.
    pub answer_p99_ms: f64,
    /// From its answer until the enriched event could be read: of half of them, …
    pub p50_ms: f64,
    /// … of all but one in a hundred, …
    pub p99_ms: f64,
    /// … and of all.
    pub most_ms: f64,
    /// How many were never told.
    pub untold: usize,
    /// How many were told more than once.
    pub again: usize,
}

/// What is changed.
#[derive(Debug, Clone, Copy)]
enum What {
    Config,
    Service,
    Deployment,
    Pod,
}

impl What {
    /// Of twenty changes, most are of data; one pod is deleted, which its controllers answer with a dozen changes more.
    fn of(number: u32) -> Self {
        match number % 20 {
            0..=12 => Self::Config,
            13..=15 => Self::Service,
            16..=18 => Self::Deployment,
            _ => Self::Pod,
        }
    }

    /// Of whom its event will be; `None` where there will be none.
    fn key(self, namespace: &str, name: &str) -> Option<String> {
        let object = |kind: &str| Some(Entity::of_object(kind, namespace, name).key());
        match self {
            Self::Config => object("ConfigMap"),
            Self::Service => object("Service"),
            Self::Deployment => {
                let workload = Workload {
                    kind: "Deployment".to_owned(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                };
                Some(Entity::of_workload(workload).key())
            }
            Self::Pod => None,
        }
    }
}

/// What is known of the newest change of an object.
#[derive(Debug, Clone, Copy)]
struct Change {
    answered: Option<Instant>,
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Told {
    pending: HashMap<String, Change>,
    answers_ms: Vec<f64>,
    lags_ms: Vec<f64>,
    again: usize,
}

type Shared = Arc<Mutex<Told>>;

/// Changes objects, `rate` a second, for that long.
pub(super) async fn make(client: &Client, bus: &Bus, world: &World, rate: u32, seconds: u64) -> Result<Lags> {
    let told = Shared::default();
    let listening = listen(bus, Arc::clone(&told)).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    // What an earlier run has set would be no change.
    let mut number = fastrand::u32(..1_000_000_000);
    let mut running = tokio::task::JoinSet::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        running.spawn(change(
            client.clone(),
            Arc::clone(&told),
            number,
            number % world.workloads,
        ));
        number += 1;
        while let Some(done) = running.try_join_next() {
            done??;
        }
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    let seconds = began.elapsed().as_secs_f64();
    sleep(LAST_WORDS).await;
    listening.abort();
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(told.sum_up(seconds))
}

/// The chart has one partition unless told otherwise.
async fn listen(bus: &Bus, told: Shared) -> Result<tokio::task::JoinHandle<()>> {
    let stream = partition_stream(ENRICHED_STREAM, 0);
    let mut reader = Reader::from_now(bus, &stream)
        .await
        .context("enriched events cannot be read")?;
    let mut codec = Codec::new()?;
    Ok(tokio::spawn(async move {
        loop {
            let Item::Message(message) = reader.next().await else {
                continue;
            };
            let now = Instant::now();
            let Ok(batch) = codec.unpack(&message.payload) else {
                continue;
            };
            let changes = batch
                .events
                .iter()
                .filter(|event| matches!(event.body, Body::SpecChanged(_)));
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            changes.for_each(|event| told.tell(&event.subject.key(), now));
        }
    }))
}

impl Told {
    fn ask(&mut self, key: &str) {
        let change = Change {
            answered: None,
            told: None,
        };
        self.pending.insert(key.to_owned(), change);
    }

    fn answer(&mut self, key: &str, asked: Instant) {
        let now = Instant::now();
        self.answers_ms.push(milliseconds(asked, now));
        if let Some(change) = self.pending.get_mut(key) {
            change.answered = Some(now);
            // The event may be faster than the answer.
            if change.told.is_some() {
                self.lags_ms.push(0.0);
            }
        }
    }

    fn tell(&mut self, key: &str, now: Instant) {
        // Somebody else's, or one from before.
        let Some(change) = self.pending.get_mut(key) else {
            return;
        };
        if change.told.replace(now).is_some() {
            self.again += 1;
        } else if let Some(answered) = change.answered {
            self.lags_ms.push(milliseconds(answered, now));
        }
    }

    fn sum_up(&mut self, seconds: f64) -> Lags {
        let made = self.answers_ms.len();
        let untold = made - self.lags_ms.len();
        Lags {
            made,
            seconds,
            answer_p99_ms: quantile(&mut self.answers_ms, 99),
            p50_ms: quantile(&mut self.lags_ms, 50),
            p99_ms: quantile(&mut self.lags_ms, 99),
            most_ms: quantile(&mut self.lags_ms, 100),
            untold,
            again: self.again,
        }
    }
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// The value that so many of a hundred do not exceed; not a number where there are none.
fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

async fn change(client: Client, told: Shared, number: u32, workload: u32) -> Result<()> {
    let (namespace, name) = place(workload);
    // Each round of all workloads changes something else of each.
    let what = What::of(number + number / 7);
    let key = what.key(&namespace, &name);
    if let Some(key) = &key {
        told.lock().unwrap_or_else(PoisonError::into_inner).ask(key);
    }
    let asked = Instant::now();
    let (namespace, name) = (namespace.as_str(), name.as_str());
    match what {
        What::Config => {
            let value = json!({"data": {"change": number.to_string()}});
            patch(Api::<ConfigMap>::namespaced(client, namespace), name, value).await?;
        }
        What::Service => {
            let port = 1024 + number % 60_000;
            let value = json!({"spec": {"ports": [{"port": 80, "targetPort": port}]}});
            patch(Api::<Service>::namespaced(client, namespace), name, value).await?;
        }
        What::Deployment => {
            let value = json!({"spec": {"progressDeadlineSeconds": 600 + number}});
            patch(Api::<Deployment>::namespaced(client, namespace), name, value).await?;
        }
        What::Pod => delete_one(&Api::namespaced(client, namespace), name).await?,
    }
    if let Some(key) = &key {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.answer(key, asked);
    }
    Ok(())
}

async fn patch<K>(api: Api<K>, name: &str, value: serde_json::Value) -> Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(value))
        .await?;
    Ok(())
}

/// Deletes a pod of a workload. One that is on its way already is gone without that.
async fn delete_one(pods: &Api<Pod>, workload: &str) -> Result<()> {
    let one = ListParams::default().labels(&format!("app={workload}")).limit(1);
    let listed = pods.list_metadata(&one).await?;
    let name = listed.items.first().and_then(|pod| pod.metadata.name.as_deref());
    let Some(name) = name else { return Ok(()) };
    match pods.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => {
            deleted?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_whether_the_answer_or_the_event_comes_first() {
        let mut told = Told::default();
        let now = Instant::now();
        for key in ["answered", "told", "never"] {
            told.ask(key);
        }
        told.answer("answered", now);
        told.tell("answered", now + Duration::from_secs(1));
        told.tell("told", now);
        told.answer("told", now);
        told.answer("never", now);
        told.tell("told", now);
        told.tell("somebody else's", now);
        let lags = told.sum_up(1.0);
        assert_eq!((lags.made, lags.untold, lags.again), (3, 1, 1));
        assert!(lags.p50_ms < 1.0 && (900.0..=1000.0).contains(&lags.most_ms));
    }

    #[test]
    fn a_quantile_is_a_value_that_there_is() {
        let mut values: Vec<_> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&mut values, 99).to_bits(), 198_f64.to_bits());
        assert!(quantile(&mut [], 99).is_nan());
    }
}
