//! NATS JetStream as the bus: publisher with spool, cursor reader, checkpoints, leases.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoints;
pub mod codec;
pub mod connection;
pub mod last_minute;
pub mod leases;
pub mod listing;
pub mod losses;
pub mod publisher;
pub mod reader;
pub mod spool;
pub mod streams;
pub mod topology;

pub use async_nats::jetstream::context::GetStreamError;
pub use connection::{Bus, Config};
