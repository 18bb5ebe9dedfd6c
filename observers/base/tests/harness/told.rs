//! What a running observer has sent.

use std::time::Duration;

use bus_client::codec::Codec;
use bus_client::publisher::Outgoing;
use bus_schema::event::{Body, Event};
use observer_base::{Context, Family};
use tokio::sync::mpsc;

use crate::context::context;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An observer that runs until this is dropped.
pub(crate) struct Told {
    sent: mpsc::Receiver<Outgoing>,
    /// In which it runs.
    pub(crate) context: Context,
}

impl Told {
    /// Starts it, and waits until it sees.
    pub(crate) async fn by<F: Family>(observer: &'static str) -> Self {
        Self::with::<F>(observer, &F::Options::default()).await
    }

    /// The same of one that is set so.
    pub(crate) async fn with<F: Family>(observer: &'static str, options: &F::Options) -> Self {
        let (context, sent) = context(F::TOKEN, observer).await;
        tokio::spawn(F::observer(observer, options).unwrap().run(context.clone()));
        let mut told = Self { sent, context };
        told.until(|event| matches!(event.body, Body::Capability(_)))
            .await;
        told
    }

    /// All events up to one that is as wanted.
    pub(crate) async fn until(&mut self, mut is_wanted: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let mut codec = Codec::new().unwrap();
        let (mut events, mut has_come): (Vec<Event>, _) = (Vec::new(), false);
        let all = async {
            while !has_come {
                let message = self.sent.recv().await.unwrap();
                let batch = codec.unpack(&message.payload).unwrap();
                for event in batch.events {
                    has_come |= is_wanted(&event);
                    events.push(event);
                }
            }
        };
        // Heartbeats come for ever.
        let has_come = tokio::time::timeout(PATIENCE, all).await.is_ok();
        assert!(has_come, "{events:?}");
        events
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}
