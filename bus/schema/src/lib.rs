//! The wire: events, batches, episodes, incidents, relations, and every name and limit of the bus.
//!
//! Encoding is named MessagePack and evolves by addition only. Nothing here does I/O: bytes in, values out.
#![forbid(unsafe_code)]

pub mod batch;
pub mod entity;
pub mod episode;
pub mod event;
pub mod family;
pub mod histogram;
pub mod id;
pub mod incident;
pub mod names;
#[cfg(feature = "samples")]
pub mod samples;
pub mod severity;
pub mod timestamp;
pub mod topology;
pub mod trace_context;

pub use batch::{Batch, Header};
pub use entity::Entity;
pub use episode::{Edge, Episode, Gauge};
pub use event::{Body, Event, Kind};
pub use id::EventId;
pub use incident::Incident;
pub use severity::Severity;
pub use timestamp::Timestamp;
pub use topology::Relations;
pub use trace_context::TraceContext;

/// Version of every MessagePack envelope.
///
/// * 1: first version.
pub const SCHEMA_VERSION: u16 = 1;
