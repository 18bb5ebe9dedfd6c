//! Labelled cases without end: random systems of services that run, break and heal, and what observers would have told.
//!
//! What happens follows from how calls, queues, timeouts and retries work. Nothing here knows the correlator's rules: of it
//! only the names of conditions are used, in what is true.

mod arena;
mod bus;
mod case;
mod entities;
mod faults;
mod graph;
mod healthy;
mod innocents;
mod names;
mod numbers;
mod plan;
mod sight;
mod tally;
mod topology;
mod truth;
mod unclear;
mod world;

pub use case::{Generated, generate};
pub use healthy::healthy;
pub use plan::{Family, Handicaps, Plan, Size};

#[cfg(test)]
mod tests;
