//! Wires the pure core to the bus and the API server.

pub mod records;
pub mod watch;
