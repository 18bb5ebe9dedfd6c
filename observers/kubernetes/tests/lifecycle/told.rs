//! An observer in this process, and what it has sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus_client::codec::Codec;
use bus_client::losses::Losses;
use bus_client::{Bus, Config};
use bus_schema::event::kubernetes::ObjectState;
use bus_schema::event::node::Coverage;
use bus_schema::event::{Body, Event};
use bus_stage::Process;
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::vitals::Vitals;
use clap::Parser;
use kube::Client;
use observer_base::Context;
use observer_base::batcher::{Batcher, Source};
use observer_base::clock::BootClock;
use observer_base::identity::Identity;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kubectl::wait_for;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    common: bus_stage::Args,
}

/// What an observer tells.
pub(crate) struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    stop: CancellationToken,
}

impl Told {
    pub(crate) async fn observe(client: Client) -> Self {
        let cli = Cli::try_parse_from(["test", "--nats-url=nats://127.0.0.1:1"]).unwrap();
        let bus = Config {
            urls: cli.common.nats_url.clone(),
            ..Config::default()
        };
        let stop = CancellationToken::new();
        let process = Process {
            bus: Bus::connect(&bus).await.unwrap(),
            args: cli.common,
            readiness: Readiness::default(),
            metrics: Metrics::new("test"),
            vitals: Vitals::default(),
            stop: stop.clone(),
        };
        let source = Source {
            cluster: "c".into(),
            node: "n".into(),
            boot: "b".into(),
            family: "kubernetes",
            observer: "lifecycle",
            delay: Duration::ZERO,
        };
        let (out, mut sent) = mpsc::channel(10_000);
        let clock = BootClock::new();
        let metrics = process.metrics.clone();
        let (batcher, emitter) =
            Batcher::new(source, clock.clone(), out, Losses::default(), metrics).unwrap();
        tokio::spawn(batcher.run());
        let context = Context {
            node: "n".into(),
            emitter,
            clock,
            identity: Arc::new(Identity::new()),
            process,
            stop: stop.clone(),
        };
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
        let hook = format!("watch {plural}");
        let events = self.events.lock().unwrap();
        let mut said = events.iter().rev().filter_map(|event| {
            if let Body::Capability(capability) = &event.body {
                Some(capability)
            } else {
                None
            }
        });
        said.find(|capability| capability.hook == hook)
            .map(|capability| capability.coverage)
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
