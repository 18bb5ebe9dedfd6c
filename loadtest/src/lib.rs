//! Measures the bus and the pipeline: rates as a ratio to what the bare bus does in the same run, and memory over time.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod corpus;
pub mod events;
pub mod flood;
pub mod generator;
pub mod observers;
pub mod pipeline;
pub mod process;
pub mod report;
pub mod scale;
pub mod server;
pub mod soak;
pub mod understand;
