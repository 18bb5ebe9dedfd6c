//! Keeps the topology in step with the API server.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::records;
use bus_schema::entity::Workload;

use crate::topology::Topology;

/// Kinds that are watched.
const WATCHES: usize = 5;

/// The topology, shared by the watches that write it and the partitions that read it.
pub type Shared = Arc<RwLock<Topology>>;

/// The running watches.
#[derive(Debug)]
pub struct Watches {
    // Dropping it ends them.
    _tasks: JoinSet<()>,
    listed: mpsc::Receiver<()>,
    running: usize,
}

impl Watches {
    /// Starts all of them. Each goes on through errors with a growing delay; they end when this is dropped.
    pub fn start(client: &Client, topology: &Shared, now_ns: fn() -> u64) -> Self {
        let mut tasks = JoinSet::new();
        let (told, listed) = mpsc::channel(WATCHES);
        let to = || To {
            client: client.clone(),
            topology: Arc::clone(topology),
            listed: Some(told.clone()),
            now_ns,
        };
        tasks.spawn(follow::<Pod>(to(), see_pod, lose_pod));
        tasks.spawn(follow::<Service>(to(), see_service, lose_service));
        tasks.spawn(follow::<EndpointSlice>(to(), see_endpoints, |_, _, _| ()));
        tasks.spawn(follow_owner::<ReplicaSet>(to(), "ReplicaSet"));
        tasks.spawn(follow_owner::<Job>(to(), "Job"));
        Self {
            running: tasks.len(),
            _tasks: tasks,
            listed,
        }
    }

    /// Waits until each has seen what is there.
    pub async fn are_listed(&mut self) {
        while self.running > 0 && self.listed.recv().await.is_some() {
            self.running -= 1;
        }
    }
}

/// What a watch writes to.
struct To {
    client: Client,
    topology: Shared,
    /// Told once, after the first list.
    listed: Option<mpsc::Sender<()>>,
    now_ns: fn() -> u64,
}

impl To {
    fn write(&self) -> RwLockWriteGuard<'_, Topology> {
        self.topology.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_list(&mut self) {
        self.write().forget((self.now_ns)());
        if let Some(listed) = self.listed.take() {
            // Each watch tells once: there is room, unless nobody asks any more.
            let _ = listed.try_send(());
        }
    }
}

type Apply<K> = fn(&mut Topology, &K, u64);

async fn follow<K>(mut to: To, see: Apply<K>, lose: Apply<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<K>::all(to.client.clone());
    let stream = kube::runtime::watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    while let Some(event) = next(&mut stream, &K::kind(&())).await {
        match event {
            Event::Apply(object) | Event::InitApply(object) => see(&mut to.write(), &object, (to.now_ns)()),
            Event::Delete(object) => lose(&mut to.write(), &object, (to.now_ns)()),
            Event::Init => {}
            Event::InitDone => to.end_list(),
        }
    }
}

/// Of controllers between pod and workload only the metadata matters.
async fn follow_owner<K>(mut to: To, kind: &'static str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::all(to.client.clone());
    let stream = kube::runtime::watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    while let Some(event) = next(&mut stream, kind).await {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(parent) = records::controller(&object.metadata) {
                    to.write().see_owner(child(kind, &object.metadata), parent);
                }
            }
            Event::Delete(object) => to.write().lose_owner(&child(kind, &object.metadata)),
            Event::Init => {}
            Event::InitDone => to.end_list(),
        }
    }
}

/// The next event; errors are logged and the watch recovers by itself.
async fn next<T>(
    stream: &mut (impl futures_util::Stream<Item = watcher::Result<Event<T>>> + Unpin),
    kind: &str,
) -> Option<Event<T>> {
    loop {
        match stream.try_next().await {
            Ok(event) => return event,
            Err(error) => tracing::warn!(kind, error = %error, "watch interrupted"),
        }
    }
}

fn child(kind: &str, meta: &kube::api::ObjectMeta) -> Workload {
    let (namespace, name) = (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    );
    Workload {
        kind: kind.to_owned(),
        namespace,
        name,
    }
}

fn see_pod(topology: &mut Topology, pod: &Pod, now_ns: u64) {
    if let Some(record) = records::pod(pod) {
        topology.see_pod(record, now_ns);
    }
}

fn lose_pod(topology: &mut Topology, pod: &Pod, now_ns: u64) {
    if let Some(uid) = &pod.metadata.uid {
        topology.lose_pod(uid, now_ns);
    }
}

fn see_service(topology: &mut Topology, service: &Service, now_ns: u64) {
    if let Some((name, addresses)) = records::service(service) {
        topology.see_service(&name, addresses, records::created_ns(&service.metadata), now_ns);
    }
}

fn lose_service(topology: &mut Topology, service: &Service, now_ns: u64) {
    if let Some((name, _)) = records::service(service) {
        topology.lose_service(&name, now_ns);
    }
}

fn see_endpoints(topology: &mut Topology, slice: &EndpointSlice, _now_ns: u64) {
    if let Some((service, slice, pods)) = records::endpoints(slice) {
        topology.see_endpoints(&service, &slice, pods);
    }
}
