//! Folds events into episodes and episodes into causal incidents.
//!
//! The core is pure: [`fold::Folder`] and [`graph::Graph`] take what the bus delivered and return what to publish.
//! Time is event time; there is no clock, no I/O and no randomness, so that the same log gives the same incidents.
#![forbid(unsafe_code)]

pub mod condition;
pub mod fold;
pub mod graph;
pub mod rules;
pub mod run;
