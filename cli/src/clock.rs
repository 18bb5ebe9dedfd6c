//! The one place that reads a clock.

use std::time::Duration;

use bus_schema::Timestamp;

/// Now, in UNIX time.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the program; everything else takes a time"
)]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ns = since.unwrap_or(Duration::ZERO).as_nanos();
    Timestamp(u64::try_from(ns).unwrap_or(u64::MAX))
}

/// From `earlier` until `later`, negative when the clocks say so.
#[expect(clippy::cast_precision_loss, reason = "a difference of some seconds")]
pub(crate) fn milliseconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    let ns = i128::from(later.as_ns()) - i128::from(earlier.as_ns());
    ns as f64 / 1e6
}
