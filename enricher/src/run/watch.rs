//! Keeps the topology in step with the API server.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ObjectMeta;
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
const WATCHES: usize = 6;

/// The dead are forgotten this often.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

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
            topology: Arc::clone(topology),
            listed: Some(told.clone()),
            now_ns,
        };
        let client = || client.clone();
        tasks.spawn(follow(Api::<Pod>::all(client()), to(), "Pod", see_pod, lose_pod));
        tasks.spawn(follow(
            Api::<Service>::all(client()),
            to(),
            "Service",
            see_service,
            lose_service,
        ));
        tasks.spawn(follow(
            Api::<Node>::all(client()),
            to(),
            "Node",
            see_node,
            lose_node,
        ));
        tasks.spawn(follow(
            Api::<EndpointSlice>::all(client()),
            to(),
            "EndpointSlice",
            see_endpoints,
            lose_endpoints,
        ));
        tasks.spawn(follow_owners::<ReplicaSet>(client(), to(), "ReplicaSet"));
        tasks.spawn(follow_owners::<Job>(client(), to(), "Job"));
        tasks.spawn(forget(Arc::clone(topology), now_ns));
        Self {
            running: WATCHES,
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
        if let Some(listed) = self.listed.take() {
            // Each watch tells once: there is room, unless nobody asks any more.
            let _ = listed.try_send(());
        }
    }
}

/// Forgets the dead from time to time.
async fn forget(topology: Shared, now_ns: fn() -> u64) {
    let mut times = tokio::time::interval(FORGET_INTERVAL);
    loop {
        times.tick().await;
        topology
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(now_ns());
    }
}

/// Follows all objects of a kind. What a list after an interruption no longer holds was deleted meanwhile.
async fn follow<K>(
    api: Api<K>,
    mut to: To,
    kind: &'static str,
    see: impl Fn(&mut Topology, &K, u64),
    lose: impl Fn(&mut Topology, &ObjectMeta, u64),
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = kube::runtime::watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    let (mut known, mut unlisted) = (HashMap::new(), HashMap::new());
    while let Some(event) = next(&mut stream, kind).await {
        let now_ns = (to.now_ns)();
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                see(&mut to.write(), &object, now_ns);
                let (uid, named) = named(object.meta());
                unlisted.remove(&uid);
                known.insert(uid, named);
            }
            Event::Delete(object) => {
                known.remove(&named(object.meta()).0);
                lose(&mut to.write(), object.meta(), now_ns);
            }
            Event::Init => unlisted = known.clone(),
            Event::InitDone => {
                for (uid, meta) in unlisted.drain() {
                    known.remove(&uid);
                    lose(&mut to.write(), &meta, now_ns);
                }
                to.end_list();
            }
        }
    }
}

/// Of controllers between pod and workload only the metadata matters.
async fn follow_owners<K>(client: Client, to: To, kind: &'static str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let see = |topology: &mut Topology, object: &PartialObjectMeta<K>, _| {
        if let Some(parent) = records::controller(&object.metadata) {
            topology.see_owner(child(kind, &object.metadata), parent);
        }
    };
    let lose = |topology: &mut Topology, meta: &ObjectMeta, _| topology.lose_owner(&child(kind, meta));
    follow(Api::all(client), to, kind, see, lose).await;
}

/// What is enough to lose an object by.
fn named(meta: &ObjectMeta) -> (String, ObjectMeta) {
    let uid = meta.uid.clone().unwrap_or_default();
    let named = ObjectMeta {
        uid: meta.uid.clone(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        ..ObjectMeta::default()
    };
    (uid, named)
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

fn child(kind: &str, meta: &ObjectMeta) -> Workload {
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

fn lose_pod(topology: &mut Topology, pod: &ObjectMeta, now_ns: u64) {
    if let Some(uid) = &pod.uid {
        topology.lose_pod(uid, now_ns);
    }
}

fn see_node(topology: &mut Topology, node: &Node, now_ns: u64) {
    if let Some(record) = records::node(node) {
        topology.see_node(&record, now_ns);
    }
}

fn lose_node(topology: &mut Topology, node: &ObjectMeta, now_ns: u64) {
    if let Some(name) = &node.name {
        topology.lose_node(name, now_ns);
    }
}

fn see_service(topology: &mut Topology, service: &Service, now_ns: u64) {
    if let Some(record) = records::service(service) {
        topology.see_service(&record, now_ns);
    }
}

fn lose_service(topology: &mut Topology, service: &ObjectMeta, now_ns: u64) {
    if let Some(name) = records::service_name(service) {
        topology.lose_service(&name, now_ns);
    }
}

fn see_endpoints(topology: &mut Topology, slice: &EndpointSlice, now_ns: u64) {
    if let Some((service, slice, pods)) = records::endpoints(slice) {
        topology.see_endpoints(&service, &slice, &pods, now_ns);
    }
}

fn lose_endpoints(topology: &mut Topology, slice: &ObjectMeta, now_ns: u64) {
    if let (Some(namespace), Some(name)) = (&slice.namespace, &slice.name) {
        topology.lose_endpoints(namespace, name, now_ns);
    }
}
