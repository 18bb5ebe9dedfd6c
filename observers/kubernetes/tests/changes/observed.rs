//! The observer in this process, and all that it has sent and logged.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use bus_client::codec::{Codec, plain};
use bus_client::publisher::Outgoing;
use bus_schema::event::node::{Capability, Coverage};
use bus_schema::event::{Body, Event};
use bus_stage::health::Readiness;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::context;
use super::wait::wait_for;

/// What was sent: the events, and every payload as it was sent and as it is without compression.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) events: Vec<Event>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

/// An observer that runs until it is dropped.
pub(crate) struct Observed {
    pub(crate) sent: Arc<Mutex<Sent>>,
    pub(crate) readiness: Readiness,
    stop: CancellationToken,
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A client of that configuration.
pub(crate) async fn client(kubeconfig: serde_json::Value) -> Client {
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

impl Observed {
    /// Observes the server of that configuration, from when everything is listed.
    pub(crate) async fn start(kubeconfig: serde_json::Value) -> Self {
        let (context, outgoing) = context("kubernetes", "deployments").await;
        let (readiness, stop) = (context.process.readiness.clone(), context.stop.clone());
        let sent = Arc::new(Mutex::new(Sent::default()));
        tokio::spawn(collect(outgoing, Arc::clone(&sent)));
        let client = client(kubeconfig).await;
        tokio::spawn(observer_kubernetes::deployments::observe(client, context));
        let observed = Self {
            sent,
            readiness,
            stop,
        };
        wait_for("every watch has its first list", || {
            let missing = observed.readiness.missing();
            missing.is_empty() && observed.capabilities().len() >= 15
        })
        .await;
        observed
    }

    /// Every capability that was told.
    fn told(&self) -> Vec<Capability> {
        let sent = self.sent.lock().unwrap();
        let told = sent.events.iter().filter_map(|event| {
            if let Body::Capability(capability) = &event.body {
                Some(capability.clone())
            } else {
                None
            }
        });
        told.collect()
    }

    /// Whether each watch works, and why not, as last told.
    pub(crate) fn capabilities(&self) -> BTreeMap<String, (bool, String)> {
        let told = self.told().into_iter();
        told.map(|capability| {
            let works = capability.coverage == Coverage::Full;
            (capability.hook, (works, capability.reason))
        })
        .collect()
    }

    /// Every reason for which a watch did not work.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let told = self.told().into_iter();
        told.map(|capability| capability.reason).collect()
    }
}

async fn collect(mut outgoing: mpsc::Receiver<Outgoing>, sent: Arc<Mutex<Sent>>) {
    let mut codec = Codec::new().unwrap();
    while let Some(message) = outgoing.recv().await {
        let batch = codec.unpack(&message.payload).unwrap();
        let mut sent = sent.lock().unwrap();
        sent.events.extend(batch.events);
        sent.payloads.push(plain(&message.payload).unwrap());
        sent.payloads.push(message.payload.to_vec());
    }
}

/// All that was logged in this process, of every level.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// From now on.
    pub(crate) fn start() -> Self {
        let logged = Self::default();
        let writer = logged.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        logged
    }

    /// What it is so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
