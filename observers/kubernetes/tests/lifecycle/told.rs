//! An observer in this process, and what it has sent.

use std::sync::{Arc, Mutex};

use bus_client::codec::Codec;
use bus_schema::event::kubernetes::ObjectState;
use bus_schema::event::node::{Capability, Coverage};
use bus_schema::event::{Body, Event};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::context::context;
use crate::kubectl::wait_for;

/// What an observer tells.
pub(crate) struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    stop: CancellationToken,
}

impl Told {
    pub(crate) async fn observe(client: Client) -> Self {
        let (context, mut sent) = context("kubernetes", "lifecycle").await;
        let stop = context.stop.clone();
        tokio::spawn(observer_kubernetes::lifecycle::observe(client, context));
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let known = Arc::clone(&events);
        tokio::spawn(async move {
            let mut codec = Codec::new().unwrap();
            while let Some(message) = sent.recv().await {
                let batch = codec.unpack(&message.payload).unwrap();
                known.lock().unwrap().extend(batch.events);
            }
        });
        Self { events, stop }
    }

    /// All transitions in a namespace, or of a node of that name.
    pub(crate) fn of(&self, namespace: &str) -> Vec<(Event, ObjectState)> {
        let events = self.events.lock().unwrap();
        let states = events.iter().filter_map(|event| {
            if let Body::ObjectState(state) = &event.body {
                Some((event.clone(), state.clone()))
            } else {
                None
            }
        });
        states
            .filter(|(event, _)| {
                event.subject.namespace() == namespace || event.subject.node.as_deref() == Some(namespace)
            })
            .collect()
    }

    /// How the watch of these objects works by what was said last.
    pub(crate) fn coverage(&self, plural: &str) -> Option<Coverage> {
        self.said_of(plural).last().map(|said| said.coverage)
    }

    /// All that was said of how the watch of these objects works.
    pub(crate) fn said_of(&self, plural: &str) -> Vec<Capability> {
        let hook = format!("watch {plural}");
        let events = self.events.lock().unwrap();
        let said = events.iter().filter_map(|event| {
            if let Body::Capability(capability) = &event.body {
                Some(capability.clone())
            } else {
                None
            }
        });
        said.filter(|said| said.hook == hook).collect()
    }

    /// Waits until all watches work.
    pub(crate) async fn works(&self) {
        for plural in [
            "pods",
            "deployments",
            "statefulsets",
            "daemonsets",
            "replicasets",
            "jobs",
            "nodes",
            "services",
            "endpointslices",
            "persistentvolumeclaims",
            "events",
        ] {
            wait_for(plural, || self.coverage(plural) == Some(Coverage::Full)).await;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
