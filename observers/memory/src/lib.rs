//! Observers of memory growth and storage.
#![forbid(unsafe_code)]

pub mod memory;
