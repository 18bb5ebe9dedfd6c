//! One watch of the API: each object becomes what is kept of it before the next is read.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use observer_base::Context;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::OBSERVER;
use super::facts::{Claim, Fact, Hint, Job, Node, Pod, ReplicaSet, Service, Slice, Workload};
use super::key::{Key, Kind};
use super::world::{Change, Source};
use crate::health::{Health, QUIET};

/// Objects that wait to be looked at: a page of a list.
pub(super) const CHANGES: usize = 512;

/// All that are started.
pub(super) const SOURCES: [Source; 13] = [
    Source::Objects(Kind::Pod),
    Source::Objects(Kind::Deployment),
    Source::Objects(Kind::StatefulSet),
    Source::Objects(Kind::DaemonSet),
    Source::Objects(Kind::ReplicaSet),
    Source::Objects(Kind::Job),
    Source::Objects(Kind::Node),
    Source::Objects(Kind::Service),
    Source::Objects(Kind::Slice),
    Source::Objects(Kind::Claim),
    Source::Warnings,
    Source::Kills,
    Source::Claims,
];

/// What the watches tell.
pub(super) type Told = (Source, Change);

/// Starts all watches. Each goes on through errors with a growing delay; they end when it is time to stop.
pub(super) fn start(client: &Client, context: &Context, told: &mpsc::Sender<Told>) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    for source in SOURCES {
        let watch = Watch {
            source,
            told: told.clone(),
            context: context.clone(),
        };
        let client = client.clone();
        match source {
            Source::Objects(Kind::Pod) => {
                watches.spawn(watch.follow(client, "", |it| Some(Fact::Pod(Pod::of(it)))))
            }
            Source::Objects(Kind::Deployment) => {
                watches.spawn(watch.follow::<apps::Deployment>(client, "", |it| {
                    Some(Fact::Workload(Workload::of_deployment(it)))
                }))
            }
            Source::Objects(Kind::StatefulSet) => {
                watches.spawn(watch.follow::<apps::StatefulSet>(client, "", |it| {
                    Some(Fact::Workload(Workload::of_stateful_set(it)))
                }))
            }
            Source::Objects(Kind::DaemonSet) => {
                watches.spawn(watch.follow::<apps::DaemonSet>(client, "", |it| {
                    Some(Fact::Workload(Workload::of_daemon_set(it)))
                }))
            }
            Source::Objects(Kind::ReplicaSet) => {
                // Of these only the owner is of use.
                watches.spawn(
                    watch.follow::<PartialObjectMeta<apps::ReplicaSet>>(client, "", |it| {
                        Some(Fact::ReplicaSet(ReplicaSet::of(&it.metadata)))
                    }),
                )
            }
            Source::Objects(Kind::Job) => {
                watches.spawn(watch.follow::<batch::Job>(client, "", |it| Some(Fact::Job(Job::of(it)))))
            }
            Source::Objects(Kind::Node) => {
                watches.spawn(watch.follow(client, "", |it| Some(Fact::Node(Node::of(it)))))
            }
            Source::Objects(Kind::Service) => {
                watches.spawn(watch.follow(client, "", |it| Some(Fact::Service(Service::of(it)))))
            }
            Source::Objects(Kind::Slice) => watches
                .spawn(watch.follow::<EndpointSlice>(client, "", |it| Some(Fact::Slice(Slice::of(it))))),
            Source::Objects(Kind::Claim) => {
                watches.spawn(watch.follow(client, "", |it| Some(Fact::Claim(Claim::of(it)))))
            }
            Source::Warnings => watches.spawn(watch.follow(client, "type=Warning", hint)),
            Source::Kills => {
                watches.spawn(watch.follow(client, "reason=Killing,involvedObject.kind=Pod", hint))
            }
            Source::Claims => watches.spawn(watch.follow(
                client,
                "type=Normal,involvedObject.kind=PersistentVolumeClaim",
                hint,
            )),
        };
    }
    watches
}

fn hint(event: &core::Event) -> Option<Fact> {
    Hint::of(event).map(Fact::Hint)
}

/// What is watched, as its capability is called.
fn title(source: Source) -> &'static str {
    match source {
        Source::Objects(Kind::Pod) => "pods",
        Source::Objects(Kind::Deployment) => "deployments",
        Source::Objects(Kind::StatefulSet) => "statefulsets",
        Source::Objects(Kind::DaemonSet) => "daemonsets",
        Source::Objects(Kind::ReplicaSet) => "replicasets",
        Source::Objects(Kind::Job) => "jobs",
        Source::Objects(Kind::Node) => "nodes",
        Source::Objects(Kind::Service) => "services",
        Source::Objects(Kind::Slice) => "endpointslices",
        Source::Objects(Kind::Claim) => "persistentvolumeclaims",
        Source::Warnings => "events",
        Source::Kills => "events of ended containers",
        Source::Claims => "events of claims",
    }
}

struct Watch {
    source: Source,
    told: mpsc::Sender<Told>,
    context: Context,
}

impl Watch {
    /// Follows all objects of kind `K` with these fields.
    async fn follow<K>(self, client: Client, fields: &'static str, fact: fn(&K) -> Option<Fact>)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default().fields(fields);
        let events = kube::runtime::watcher(Api::<K>::all(client), config);
        self.read(events.default_backoff().boxed(), fact).await;
    }

    async fn read<K>(
        self,
        events: BoxStream<'static, watcher::Result<Event<K>>>,
        fact: fn(&K) -> Option<Fact>,
    ) where
        K: ResourceExt + Send + 'static,
    {
        let stopped = self.context.stop.clone().cancelled_owned();
        let mut events = events.take_until(stopped).boxed();
        let mut health = Health::new(self.context.clone(), OBSERVER, title(self.source));
        loop {
            let Ok(next) = tokio::time::timeout(QUIET, events.next()).await else {
                health.goes_on();
                continue;
            };
            let Some(event) = next else { return };
            let change = match event {
                Ok(Event::Init) => Some(Change::List),
                Ok(Event::InitDone) => {
                    health.set(None);
                    Some(Change::Listed)
                }
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    health.goes_on();
                    fact(&object).map(|fact| Change::Seen(Box::new(fact)))
                }
                Ok(Event::Delete(object)) => {
                    health.goes_on();
                    self.gone(&object)
                }
                Err(error) => {
                    health.fails(&error);
                    Some(Change::Blind)
                }
            };
            if let Some(change) = change
                && self.told.send((self.source, change)).await.is_err()
            {
                return;
            }
        }
    }

    /// Events are forgotten with what they are about.
    fn gone<K: ResourceExt>(&self, object: &K) -> Option<Change> {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        let name = object.meta().name.as_deref().unwrap_or_default();
        match self.source {
            Source::Objects(kind) => Some(Change::Gone(Key::new(kind, namespace, name))),
            Source::Warnings | Source::Kills | Source::Claims => None,
        }
    }
}
