//! Changes of Deployments, `StatefulSets` and `DaemonSets`, told by one leader.
//!
//! Every replica watches; those that do not lead keep what they saw for a while, and a new leader tells what happened
//! since the former one was last known to live. A change is therefore never lost, at worst told twice.

mod backlog;
mod history;
mod known;
mod rollout;
mod spec;
mod watch;

use std::time::Duration;

use bus_schema::event::Body;
use bus_schema::event::kubernetes::{ImageChanged, SpecChanged};
use bus_schema::{Entity, Severity};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Client;
use observer_base::family::Error;
use observer_base::{Context, Draft, Emitter, Observer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::election::{self, Leadership};
use backlog::Backlog;
use known::{Change, What};

const OBSERVER: &str = "deployments";
/// The lease for which the replicas compete.
const LEASE: &str = "tapio-deployments";
/// Changes on their way from the watches: more than a cluster is given in the time of one request.
const CHANGES: usize = 1024;

/// The observer.
#[derive(Debug)]
pub struct Deployments;

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("no Kubernetes API server can be asked; run it in a pod or set KUBECONFIG")]
struct NoServer(#[source] kube::Error);

impl Observer for Deployments {
    fn delay(&self) -> Duration {
        // The API server tells a change within milliseconds; nothing that a change does to a pod is faster than this.
        Duration::from_millis(200)
    }

    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let client = Client::try_default().await.map_err(NoServer)?;
            let (changes, seen) = mpsc::channel(CHANGES);
            let mut watches = JoinSet::new();
            watches.spawn(watch::follow::<Deployment>(
                client.clone(),
                context.clone(),
                changes.clone(),
            ));
            watches.spawn(watch::follow::<StatefulSet>(
                client.clone(),
                context.clone(),
                changes.clone(),
            ));
            watches.spawn(watch::follow::<DaemonSet>(
                client.clone(),
                context.clone(),
                changes,
            ));
            let mut leadership = election::stand(client, LEASE, context.clock.clone(), context.stop.clone());
            tell(seen, &mut leadership, &context.emitter).await;
            // The lease is given back.
            while leadership.changed().await.is_ok() {}
            Ok(())
        })
    }
}

/// Tells changes while leading, and keeps them otherwise. Ends with the watches.
async fn tell(mut seen: mpsc::Receiver<Change>, leadership: &mut election::Watch, emitter: &Emitter) {
    let mut backlog = Backlog::default();
    let mut leads = false;
    loop {
        tokio::select! {
            change = seen.recv() => match change {
                Some(change) if leads => emit(emitter, change),
                Some(change) => backlog.keep(change),
                None => return,
            },
            Ok(()) = leadership.changed() => {
                let state = *leadership.borrow_and_update();
                if let (Leadership::Leading { unattended_since_ns }, false) = (state, leads) {
                    backlog.since(unattended_since_ns).for_each(|change| emit(emitter, change));
                }
                leads = matches!(state, Leadership::Leading { .. });
            }
        }
    }
}

fn emit(emitter: &Emitter, change: Change) {
    let subject = Entity::of_workload(change.workload);
    let body = match change.what {
        What::Image { container, old, new } => Body::ImageChanged(ImageChanged {
            container,
            old_image: old,
            new_image: new,
            generation: change.generation,
            manager: change.manager,
            rollback: change.is_rollback,
            ..ImageChanged::default()
        }),
        What::Spec { differences, omitted } => Body::SpecChanged(SpecChanged {
            differences,
            omitted,
            generation: change.generation,
            manager: change.manager,
            rollback: change.is_rollback,
            replaces_pods: change.is_of_template,
            ..SpecChanged::default()
        }),
    };
    emitter.emit(Draft::new(change.time_ns, Severity::Notice, subject, body));
}
