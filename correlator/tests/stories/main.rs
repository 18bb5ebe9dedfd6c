//! Stories as events, replayed through both steps: what must be found, and what must not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
mod calls;
mod controls;
mod fragments;
mod kubernetes;
mod latency;
mod leak;
mod log;
mod nodes;
mod recipes;
mod recorded;
mod replay;
#[path = "../../../bus/client/tests/harness/server.rs"]
#[expect(dead_code, reason = "these tests leave the server alone")]
mod server;
mod slow;
mod specs;
mod told;
mod upgrade;

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
