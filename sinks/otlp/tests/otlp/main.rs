//! The exporter against real OTLP servers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod endpoint;
mod http;
mod receiver;
