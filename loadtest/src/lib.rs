//! Measures the bus and the pipeline: rates as a ratio to what the bare bus does in the same run.
#![forbid(unsafe_code)]

pub mod events;
pub mod flood;
pub mod pipeline;
pub mod server;
