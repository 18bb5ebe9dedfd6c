//! Wires the pure core to the bus: two stages in one process.

pub mod causes;
pub mod config;
pub mod episodes;
pub mod metrics;
mod told;
