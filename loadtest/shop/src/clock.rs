//! The one place that reads the wall clock; access logs and reports carry it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, saturating.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge where the wall clock comes in"
)]
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
