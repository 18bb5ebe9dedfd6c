//! Keeps the topology in step with the API server.

mod kinds;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Node, Pod, ResourceQuota, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::relate::Related;
use crate::topology::Topology;

/// Kinds that say who is who; the others only relate.
const WATCHES: usize = 6;
/// What the API server answers to who may not watch a kind.
const FORBIDDEN: u16 = 403;
/// Delay before it is asked again.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

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
    pub fn start(client: &Client, topology: &Shared, related: &Arc<Related>, now_ns: fn() -> u64) -> Self {
        let (told, listed) = mpsc::channel(WATCHES);
        let mut starting = Starting {
            tasks: JoinSet::new(),
            client,
            to: To {
                topology: Arc::clone(topology),
                related: Arc::clone(related),
                listed: Some(told),
                now_ns,
            },
        };
        starting.follow::<Pod>(kinds::see_pod, kinds::lose_pod);
        starting.follow::<Service>(kinds::see_service, kinds::lose_service);
        starting.follow::<Node>(kinds::see_node, kinds::lose_node);
        starting.follow::<EndpointSlice>(kinds::see_endpoints, kinds::lose_endpoints);
        starting
            .follow_metadata::<ReplicaSet>(kinds::see_owner::<ReplicaSet>, kinds::lose_owner::<ReplicaSet>);
        starting.follow_metadata::<Job>(kinds::see_owner::<Job>, kinds::lose_owner::<Job>);
        starting.to.listed = None;
        starting.follow::<NetworkPolicy>(kinds::see_policy, kinds::lose_policy);
        starting.follow::<Ingress>(kinds::see_ingress, kinds::lose_ingress);
        starting.follow::<HorizontalPodAutoscaler>(kinds::see_autoscaler, kinds::lose_autoscaler);
        starting.follow_metadata::<ResourceQuota>(
            kinds::see_limit::<ResourceQuota>,
            kinds::lose_limit::<ResourceQuota>,
        );
        starting
            .follow_metadata::<LimitRange>(kinds::see_limit::<LimitRange>, kinds::lose_limit::<LimitRange>);
        let Starting { mut tasks, .. } = starting;
        tasks.spawn(forget(Arc::clone(topology), Arc::clone(related), now_ns));
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

/// Watches that are being started.
struct Starting<'a> {
    tasks: JoinSet<()>,
    client: &'a Client,
    to: To,
}

impl Starting<'_> {
    /// Follows objects of a kind.
    fn follow<K>(&mut self, see: See<K>, lose: Lose)
    where
        K: Resource<DynamicType = ()>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api = Api::<K>::all(self.client.clone());
        self.tasks.spawn(follow(api, self.to.clone(), K::KIND, see, lose));
    }

    /// Follows objects of which only the metadata matters.
    fn follow_metadata<K>(&mut self, see: See<PartialObjectMeta<K>>, lose: Lose)
    where
        K: Resource<DynamicType = ()>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api = Api::<PartialObjectMeta<K>>::all(self.client.clone());
        self.tasks.spawn(follow(api, self.to.clone(), K::KIND, see, lose));
    }
}

/// Takes note of an object, as told at this time.
type See<K> = fn(&To, &K, u64);
/// Takes note of a deletion.
type Lose = fn(&To, &ObjectMeta, u64);

/// What a watch writes to.
#[derive(Clone)]
struct To {
    topology: Shared,
    related: Arc<Related>,
    /// Told once, after the first list.
    listed: Option<mpsc::Sender<()>>,
    now_ns: fn() -> u64,
}

impl To {
    fn write(&self) -> RwLockWriteGuard<'_, Topology> {
        self.topology.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_list(&mut self, kind: &'static str) {
        self.related.change(|store| store.list(kind));
        if let Some(listed) = self.listed.take() {
            // Each watch tells once: there is room, unless nobody asks any more.
            let _ = listed.try_send(());
        }
    }
}

/// Forgets the dead from time to time.
async fn forget(topology: Shared, related: Arc<Related>, now_ns: fn() -> u64) {
    let mut times = tokio::time::interval(FORGET_INTERVAL);
    loop {
        times.tick().await;
        topology
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(now_ns());
        related.with(|store| store.forget(now_ns()));
    }
}

/// Follows all objects of a kind. What a list after an interruption no longer holds was deleted meanwhile.
async fn follow<K>(api: Api<K>, mut to: To, kind: &'static str, see: See<K>, lose: Lose)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = kube::runtime::watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = stream.boxed();
    let (mut known, mut unlisted) = (HashMap::new(), HashMap::new());
    let mut is_refused = false;
    while let Some(event) = next(&mut stream, kind, &mut is_refused).await {
        let now_ns = (to.now_ns)();
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                see(&to, &object, now_ns);
                let (uid, named) = named(object.meta());
                unlisted.remove(&uid);
                known.insert(uid, named);
            }
            Event::Delete(object) => {
                known.remove(&named(object.meta()).0);
                lose(&to, object.meta(), now_ns);
            }
            Event::Init => unlisted = known.clone(),
            Event::InitDone => {
                for (uid, meta) in unlisted.drain() {
                    known.remove(&uid);
                    lose(&to, &meta, now_ns);
                }
                is_refused = false;
                to.end_list(kind);
            }
        }
    }
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
    is_refused: &mut bool,
) -> Option<Event<T>> {
    loop {
        match stream.try_next().await {
            Ok(event) => return event,
            Err(error) if !is_forbidden(&error) => {
                tracing::warn!(kind, error = %error, "watch interrupted");
            }
            Err(error) => {
                if !std::mem::replace(is_refused, true) {
                    tracing::warn!(kind, error = %error, "may not be watched: what only it tells is not known");
                }
                // The permission may be given later. The watch itself would ask every second.
                tokio::time::sleep(REFUSED_RETRY).await;
            }
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => return false,
    };
    status.code == FORBIDDEN
}
