//! Observers of executables, signals, exits and containers.
