//! A message of the bus: one envelope with the events of one observer.
//!
//! On the wire a batch is a map whose `schema` comes first and whose `events` come last. A batch without events is a
//! heartbeat: it only carries the watermark.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::SCHEMA_VERSION;
use crate::event::{Decoded, Event};

/// Who sent a batch, and how far its stream of events has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u16,
    /// Cluster of the node.
    pub cluster: String,
    /// Node of the observer; the pod's name for cluster-scoped ones.
    pub node: String,
    /// Identity of this run of the observer: kernel boot id and process start.
    pub boot: String,
    /// Token of the observer.
    pub observer: String,
    /// Sequence number of the first event; the following ones count up. In a heartbeat: of the next event.
    pub first_sequence: u64,
    /// Every event of this observer up to this time (UNIX ns) has been sent. An enriched batch says nothing of it (0): the
    /// enricher tells the time of all observers of a raw partition in heartbeats of its own.
    pub watermark_ns: u64,
    /// Events this observer has dropped since it started.
    pub dropped_total: u64,
    /// When the bus received the raw batch (UNIX ns); 0 in the raw batch itself.
    pub received_ns: u64,
    /// The producer's last batch: it ends, and nobody needs to wait for more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl Header {
    /// `node/boot/observer`: the producer whose sequence numbers count up.
    pub fn producer(&self) -> String {
        format!("{}/{}/{}", self.node, self.boot, self.observer)
    }

    /// Message id by which JetStream drops a repeated publish.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.producer(), self.first_sequence)
    }
}

/// Envelope and events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The envelope.
    pub header: Header,
    /// Events of kinds that this version knows.
    pub events: Vec<Event>,
    /// How many events were skipped, by the token of their unknown kind. Empty in a batch that is written.
    pub unknown_kinds: BTreeMap<String, u64>,
}

/// Why a message is no batch of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Its schema is newer than this reader.
    #[error("batch has schema {found}, this version reads up to {SCHEMA_VERSION}")]
    NewerSchema {
        /// The writer's schema.
        found: u16,
    },
    /// It is damaged, cut short or something else.
    #[error("batch is not readable")]
    Malformed(#[source] rmp_serde::decode::Error),
    /// Bytes follow the envelope.
    #[error("something follows the batch")]
    TrailingBytes,
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
#[error("batch could not be encoded")]
pub struct EncodeError(#[from] rmp_serde::encode::Error);

impl Batch {
    /// Appends the batch to `out` as named MessagePack.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode_events(&self.header, &self.events, out)
    }

    /// Reads a batch from MessagePack that holds exactly one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        // By reference: a reader would copy every string twice.
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        let batch =
            Self::deserialize(&mut deserializer).map_err(|source| schema_or_malformed(bytes, source))?;
        if batch.header.schema > SCHEMA_VERSION {
            return Err(DecodeError::NewerSchema {
                found: batch.header.schema,
            });
        }
        // Anything but the end has a marker, be it of something else or cut short.
        match <()>::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(batch),
            Ok(()) | Err(_) => Err(DecodeError::TrailingBytes),
        }
    }
}

/// Appends `header` and `events` to `out` as one batch.
pub fn encode_events(header: &Header, events: &[Event], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
    let fields = 10 + usize::from(header.leaving);
    let mut map = serde::Serializer::serialize_map(&mut serializer, Some(fields))?;
    map.serialize_entry("schema", &header.schema)?;
    map.serialize_entry("cluster", &header.cluster)?;
    map.serialize_entry("node", &header.node)?;
    map.serialize_entry("boot", &header.boot)?;
    map.serialize_entry("observer", &header.observer)?;
    map.serialize_entry("first_sequence", &header.first_sequence)?;
    map.serialize_entry("watermark_ns", &header.watermark_ns)?;
    map.serialize_entry("dropped_total", &header.dropped_total)?;
    map.serialize_entry("received_ns", &header.received_ns)?;
    if header.leaving {
        map.serialize_entry("leaving", &true)?;
    }
    map.serialize_entry("events", events)?;
    map.end()?;
    Ok(())
}

/// A batch of a later schema may have any shape: its own word for its version counts more than where decoding failed.
fn schema_or_malformed(bytes: &[u8], source: rmp_serde::decode::Error) -> DecodeError {
    #[derive(Deserialize)]
    struct SchemaOnly {
        schema: u16,
    }
    match rmp_serde::from_slice::<SchemaOnly>(bytes) {
        Ok(SchemaOnly { schema }) if schema > SCHEMA_VERSION => DecodeError::NewerSchema { found: schema },
        Ok(_) | Err(_) => DecodeError::Malformed(source),
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BatchVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Schema,
    Cluster,
    Node,
    Boot,
    Observer,
    FirstSequence,
    WatermarkNs,
    DroppedTotal,
    ReceivedNs,
    Leaving,
    Events,
    #[serde(other)]
    Added,
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch, A::Error> {
        let mut batch = Batch::default();
        let mut schema_seen = false;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Schema => {
                    batch.header.schema = map.next_value()?;
                    schema_seen = true;
                }
                Field::Cluster => batch.header.cluster = map.next_value()?,
                Field::Node => batch.header.node = map.next_value()?,
                Field::Boot => batch.header.boot = map.next_value()?,
                Field::Observer => batch.header.observer = map.next_value()?,
                Field::FirstSequence => batch.header.first_sequence = map.next_value()?,
                Field::WatermarkNs => batch.header.watermark_ns = map.next_value()?,
                Field::DroppedTotal => batch.header.dropped_total = map.next_value()?,
                Field::ReceivedNs => batch.header.received_ns = map.next_value()?,
                Field::Leaving => batch.header.leaving = map.next_value()?,
                Field::Events => {
                    let Events { known, unknown } = map.next_value()?;
                    batch.events = known;
                    batch.unknown_kinds = unknown;
                }
                Field::Added => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if schema_seen {
            Ok(batch)
        } else {
            Err(de::Error::missing_field("schema"))
        }
    }
}

struct Events {
    known: Vec<Event>,
    unknown: BTreeMap<String, u64>,
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EventsVisitor)
    }
}

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Events, A::Error> {
        /// A hostile length prefix must not reserve memory that the message does not back.
        const MOST_RESERVED: usize = 1024;
        let capacity = seq.size_hint().unwrap_or(0).min(MOST_RESERVED);
        let mut events = Events {
            known: Vec::with_capacity(capacity),
            unknown: BTreeMap::new(),
        };
        while let Some(decoded) = seq.next_element()? {
            match decoded {
                Decoded::Event(event) => events.known.push(event),
                Decoded::UnknownKind(token) => *events.unknown.entry(token).or_default() += 1,
            }
        }
        Ok(events)
    }
}
