//! Keeps the topology in step with the API server.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

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
use tokio::task::JoinSet;

use super::records;
use bus_schema::entity::Workload;

use crate::topology::Topology;

/// The topology, shared by the watches that write it and the partitions that read it.
pub type Shared = Arc<RwLock<Topology>>;

/// Starts all watches. Each goes on through errors with a growing delay; the tasks end when the set is dropped.
pub fn start(client: &Client, topology: &Shared, now_ns: fn() -> u64) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::<Pod>(
        client.clone(),
        Arc::clone(topology),
        now_ns,
        see_pod,
        lose_pod,
    ));
    tasks.spawn(follow::<Service>(
        client.clone(),
        Arc::clone(topology),
        now_ns,
        see_service,
        lose_service,
    ));
    tasks.spawn(follow::<EndpointSlice>(
        client.clone(),
        Arc::clone(topology),
        now_ns,
        see_endpoints,
        |_, _, _| (),
    ));
    tasks.spawn(follow_owner::<ReplicaSet>(
        client.clone(),
        Arc::clone(topology),
        "ReplicaSet",
    ));
    tasks.spawn(follow_owner::<Job>(client.clone(), Arc::clone(topology), "Job"));
    tasks
}

type Apply<K> = fn(&mut Topology, &K, u64);

async fn follow<K>(client: Client, topology: Shared, now_ns: fn() -> u64, see: Apply<K>, lose: Apply<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = kube::runtime::watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    while let Some(event) = next(&mut stream, &K::kind(&())).await {
        let mut topology = topology.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) | Event::InitApply(object) => see(&mut topology, &object, now_ns()),
            Event::Delete(object) => lose(&mut topology, &object, now_ns()),
            Event::Init => {}
            Event::InitDone => topology.forget(now_ns()),
        }
    }
}

/// Of controllers between pod and workload only the metadata matters.
async fn follow_owner<K>(client: Client, topology: Shared, kind: &'static str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::all(client);
    let stream = kube::runtime::watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    while let Some(event) = next(&mut stream, kind).await {
        let mut topology = topology.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(parent) = records::controller(&object.metadata) {
                    topology.see_owner(child(kind, &object.metadata), parent);
                }
            }
            Event::Delete(object) => topology.lose_owner(&child(kind, &object.metadata)),
            Event::Init | Event::InitDone => {}
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
        topology.see_service(&name, addresses, now_ns);
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
