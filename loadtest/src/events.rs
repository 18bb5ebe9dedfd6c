//! What is sent: encoded batches, and a marker whose effect on the last stream shows that all before it is worked on.

use anyhow::Result;
use bus_client::codec::Codec;
use bus_client::publisher::Outgoing;
use bus_schema::entity::Workload;
use bus_schema::event::Body;
use bus_schema::event::kubernetes::ImageChanged;
use bus_schema::names::events_subject;
use bus_schema::samples::{Samples, Shape};
use bus_schema::{Batch, Entity, Event, EventId, Header, SCHEMA_VERSION, Severity};

const FAMILY: &str = "network";

/// `events` events, in batches.
///
/// # Errors
/// When one cannot be encoded.
pub fn batches(shape: Shape, events: u64, start_ns: u64) -> Result<Vec<Outgoing>> {
    let mut codec = Codec::new()?;
    let count = usize::try_from(events / shape.events_per_batch.max(1))?;
    Samples::new(shape, start_ns)
        .take(count)
        .map(|batch| message(&mut codec, &batch))
        .collect()
}

/// A batch of one change, of a workload with that name.
///
/// # Errors
/// When it cannot be encoded.
pub fn marker(name: &str, time_ns: u64) -> Result<Outgoing> {
    let change = ImageChanged {
        new_image: "marker:2".into(),
        old_image: "marker:1".into(),
        ..ImageChanged::default()
    };
    let workload = Workload {
        kind: "Deployment".into(),
        namespace: "load".into(),
        name: name.into(),
    };
    let event = Event {
        id: EventId::of_event(time_ns, name, "boot", name, 1),
        time_ns,
        observed_ns: time_ns,
        severity: Severity::Info,
        subject: Entity::of_workload(workload),
        object: None,
        count: 1,
        window_ns: 0,
        trace: None,
        body: Body::ImageChanged(change),
    };
    let header = Header {
        schema: SCHEMA_VERSION,
        cluster: "load".into(),
        node: name.into(),
        boot: "boot".into(),
        observer: name.into(),
        first_sequence: 1,
        watermark_ns: time_ns,
        dropped_total: 0,
        received_ns: 0,
        leaving: false,
    };
    let batch = Batch {
        header,
        events: vec![event],
        ..Batch::default()
    };
    message(&mut Codec::new()?, &batch)
}

fn message(codec: &mut Codec, batch: &Batch) -> Result<Outgoing> {
    Ok(Outgoing {
        subject: events_subject(&batch.header.node, FAMILY),
        message_id: Some(batch.header.message_id()),
        events: batch.events.len() as u64,
        payload: codec.pack(&batch.header, &batch.events)?.into(),
    })
}
