//! States in which pods, workloads, Services, nodes, jobs and claims do not do what they are there for, told by one leader: once
//! when one is entered, once for each other reason, and once when it ends. What is listed again tells nothing.
//!
//! Every replica watches and keeps account; see `leader` for what each tells.

mod facts;
mod finding;
mod held;
mod key;
mod reasons;
mod states;
mod watch;
mod world;

use std::time::Duration;

use bus_schema::event::Body;
use futures_util::future::BoxFuture;
use kube::Client;
use observer_base::family::Error;
use observer_base::{Context, Draft, Emitter, Observer};
use tokio::sync::mpsc;

use crate::{leader, server};
use held::Transition;
use world::World;

const OBSERVER: &str = "lifecycle";
/// The lease for which the replicas compete.
const LEASE: &str = "tapio-lifecycle";
/// Transitions on their way to the leader: more than a cluster has in the time of one request.
const TRANSITIONS: usize = 1024;

/// The observer.
#[derive(Debug)]
pub struct Lifecycle;

impl Observer for Lifecycle {
    fn delay(&self) -> Duration {
        // A transition carries the time at which it was found out; it is emitted at once.
        Duration::from_millis(200)
    }

    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            observe(server::client().await?, context).await;
            Ok(())
        })
    }
}

/// Observes the cluster of `client` until it is time to stop.
pub async fn observe(client: Client, context: Context) {
    let (told, changes) = mpsc::channel(watch::CHANGES);
    let (transitions, seen) = mpsc::channel(TRANSITIONS);
    let _watches = watch::start(&client, &context, &told);
    drop(told);
    tokio::spawn(keep_account(changes, transitions, context.clone()));
    leader::tell(seen, client, LEASE, &context, |transition| {
        emit(&context.emitter, transition);
    })
    .await;
}

/// Hands on what follows from changes and from time. Ends with the watches.
async fn keep_account(
    mut changes: mpsc::Receiver<watch::Told>,
    transitions: mpsc::Sender<Transition>,
    context: Context,
) {
    let mut world = World::new(watch::SOURCES);
    loop {
        let wait = world.wakes_ns().saturating_sub(context.clock.now_ns());
        let told = tokio::select! {
            change = changes.recv() => match change {
                Some((source, change)) => world.apply(source, change, context.clock.now_ns()),
                None => return,
            },
            () = tokio::time::sleep(Duration::from_nanos(wait)) => world.tick(context.clock.now_ns()),
        };
        for transition in told {
            if transitions.send(transition).await.is_err() {
                return;
            }
        }
    }
}

impl leader::Seen for Transition {
    fn observed_ns(&self) -> u64 {
        self.observed_ns
    }
}

fn emit(emitter: &Emitter, transition: Transition) {
    let severity = transition.severity();
    let Transition {
        subject,
        object,
        body,
        observed_ns,
    } = transition;
    let draft = Draft::new(observed_ns, severity, subject, Body::ObjectState(body));
    emitter.emit(Draft { object, ..draft });
}
