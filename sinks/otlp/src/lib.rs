//! Exports each incident revision as one OpenTelemetry trace, emitted whole, with its evidence as log records.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod export;
pub mod ids;
pub mod logs;
pub mod resource;
pub mod run;
mod tls;
pub mod trace;
mod transport;
