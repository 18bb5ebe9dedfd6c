//! The skeleton of every Tapio process: configuration, telemetry, health, partitions, drain.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod exit;
pub mod health;
pub mod high_water;
pub mod losses;
pub mod metrics;
pub mod partitioned;
pub mod process;
pub mod signals;
pub mod state;
pub mod step;
pub mod telemetry;
pub mod vitals;
pub mod watermark;

pub use config::Args;
pub use process::Process;
