//! What people change in a cluster: workloads, their configuration, and what selects, bounds and scales them. Told by one leader.
//!
//! One event a change; nothing for a status, a list, or what a controller notes down. What changed while a watch was
//! interrupted is told once, as late. Objects go in at `known` and changes come out; a kind is a row of `kinds`.

mod change;
mod entries;
mod history;
mod index;
mod kinds;
mod known;
mod marks;
mod object;
mod selector;
mod signature;
mod state;
mod watch;
mod writer;

use std::time::Duration;

use futures_util::future::BoxFuture;
use kube::Client;
use observer_base::family::Error;
use observer_base::{Context, Observer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{leader, server};
use change::Change;
use kinds::KINDS;
use known::SharedIndex;

const OBSERVER: &str = "deployments";
/// The lease for which the replicas compete.
const LEASE: &str = "tapio-deployments";
/// Changes on their way from the watches: more than a cluster is given in the time of one request.
const CHANGES: usize = 1024;

/// The observer.
#[derive(Debug)]
pub struct Deployments;

impl Observer for Deployments {
    fn delay(&self) -> Duration {
        // The API server tells a change within milliseconds; nothing that a change does to a pod is faster than this.
        Duration::from_millis(200)
    }

    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            observe(server::client().await?, context).await;
            Ok(())
        })
    }
}

/// Observes the server of `client` until it is time to stop.
pub async fn observe(client: Client, context: Context) {
    let (changes, seen) = mpsc::channel::<Change>(CHANGES);
    let index = SharedIndex::default();
    let mut watches = JoinSet::new();
    for kind in &KINDS {
        let (client, context) = (client.clone(), context.clone());
        watches.spawn(watch::follow(
            kind,
            client,
            context,
            SharedIndex::clone(&index),
            changes.clone(),
        ));
    }
    drop(changes);
    leader::tell(seen, client, LEASE, &context, |change| {
        context.emitter.emit(change.draft());
    })
    .await;
}
