//! Events that are lost on the way, and told as lost.

use std::collections::BTreeMap;

use bus_client::last_minute::LastMinute;
use bus_schema::event::node::Loss;
use bus_schema::event::{Body, Event};
use bus_schema::{Batch, Entity, EventId, Severity};

use super::SEED;

/// Loses events of batches that are handed over in order.
#[derive(Debug)]
pub(super) struct Losing {
    share: f64,
    dice: fastrand::Rng,
    /// What each producer sent.
    sent: BTreeMap<String, Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    total: u64,
    lately: LastMinute,
}

impl Losing {
    /// Loses this share of them.
    pub(super) fn new(share: f64) -> Self {
        Self {
            share,
            dice: fastrand::Rng::with_seed(SEED),
            sent: BTreeMap::new(),
        }
    }

    pub(super) fn lose(&mut self, batch: &mut Batch) {
        let before = batch.events.len();
        batch.events.retain(|_| self.dice.f64() >= self.share);
        let lost = before - batch.events.len();
        let producer = format!("{}/{}", batch.header.node, batch.header.observer);
        let sent = self.sent.entry(producer).or_default();
        sent.total += batch.events.len() as u64;
        let lately = sent.lately.of(batch.header.received_ns, sent.total);
        if lost > 0 {
            tell_loss(batch, lost as u64, lately);
        }
    }
}

/// As the observer would have told it.
fn tell_loss(batch: &mut Batch, count: u64, sent: u64) {
    let header = &batch.header;
    let time_ns = batch
        .events
        .first()
        .map_or(header.received_ns, |event| event.time_ns);
    let loss = Loss {
        observer: header.observer.clone(),
        reason: "rate_limit".into(),
        sent: Some(sent),
    };
    let event = Event {
        id: EventId::of_parts(
            time_ns,
            &["lost", &header.producer(), &header.first_sequence.to_string()],
        ),
        time_ns,
        observed_ns: time_ns,
        severity: Severity::Notice,
        subject: Entity::of_node(&header.node),
        object: None,
        count,
        window_ns: 0,
        trace: None,
        body: Body::Loss(loss),
    };
    batch.events.push(event);
}
