//! Real events of a recording, which can be told once more at another time.

use std::collections::BTreeMap;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::batch::EncodeError;
use bus_schema::event::Event;
use bus_schema::names::TOPOLOGY_STREAM;
use bus_schema::{Batch, EventId, Header};
use correlator::run::replay::in_order;

/// An event and what brought it.
#[derive(Debug, Clone)]
pub(super) struct Real {
    stream: String,
    subject: String,
    stored_ns: u64,
    header: Header,
    pub(super) event: Event,
}

impl Real {
    /// It happens at `at_ns` too (UNIX ns), and takes as long to be told; `number` tells its copies apart.
    pub(super) fn at(&self, at_ns: u64, number: usize) -> Result<Recorded, EncodeError> {
        let moved = |time_ns: u64| (at_ns + time_ns).saturating_sub(self.event.time_ns);
        let id = EventId::of_parts(at_ns, &["again", &self.event.id.to_string(), &number.to_string()]);
        let batch = Batch {
            header: Header {
                received_ns: moved(self.header.received_ns),
                ..self.header.clone()
            },
            events: vec![Event {
                id,
                time_ns: at_ns,
                observed_ns: moved(self.event.observed_ns),
                ..self.event.clone()
            }],
            ..Batch::default()
        };
        let mut payload = Vec::new();
        batch.encode(&mut payload)?;
        Ok(Recorded {
            stream: self.stream.clone(),
            sequence: 0,
            stored_ns: moved(self.stored_ns),
            subject: self.subject.clone(),
            payload: payload.into(),
        })
    }
}

/// Whether a message holds events, and no relations.
pub(super) fn is_batch(message: &Recorded) -> bool {
    message.stream != TOPOLOGY_STREAM
}

/// All events of a recording of this sort, in its order.
pub(super) fn all(messages: &[Recorded], is_wanted: impl Fn(&Event) -> bool) -> Result<Vec<Real>> {
    let mut codec = Codec::new()?;
    let mut found = Vec::new();
    for message in messages.iter().filter(|message| is_batch(message)) {
        let Ok(batch) = codec.unpack(&message.payload) else {
            continue;
        };
        let Batch { header, events, .. } = batch;
        found.extend(events.into_iter().filter(&is_wanted).map(|event| Real {
            stream: message.stream.clone(),
            subject: message.subject.clone(),
            stored_ns: message.stored_ns,
            header: header.clone(),
            event,
        }));
    }
    Ok(found)
}

/// The messages with more among them: each stream is numbered anew, in the order of time.
pub(super) fn with(mut messages: Vec<Recorded>, more: Vec<Recorded>) -> Vec<Recorded> {
    messages.extend(more);
    let mut messages = in_order(messages);
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    for message in &mut messages {
        let number = numbers.entry(message.stream.clone()).or_default();
        *number += 1;
        message.sequence = *number;
    }
    messages
}
