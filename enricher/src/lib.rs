//! Says who is who: containers, pods, workloads, services and both ends of a connection.
//!
//! The core is pure: [`Enricher`] takes batches of one raw partition, [`Topology`] what the API server told, and both
//! answer for the time of the event, not for now. [`relations`] says what is related to what, for those who correlate.
#![forbid(unsafe_code)]

pub mod enrich;
pub mod listeners;
pub mod namespaces;
pub mod relations;
pub mod run;
pub mod topology;

pub use enrich::Enricher;
pub use topology::Topology;
