//! Observers of executables, signals, exits and containers.
#![forbid(unsafe_code)]

pub mod signals;
