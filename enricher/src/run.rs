//! Wires the pure core to the bus and the API server.

pub mod config;
pub mod records;
pub mod stage;
pub mod watch;
