//! The shared library of all observers: identity, clocks, publishing, and the process around them.

pub mod batcher;
pub mod clock;
pub mod emitter;
pub mod family;
pub mod files;
pub mod identity;
pub mod kernel;
mod ring;
pub mod task;

pub use emitter::{Draft, Emitter};
pub use family::{Context, Family, Observer, main};
