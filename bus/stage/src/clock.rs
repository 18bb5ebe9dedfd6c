//! The one place where a stage asks what time it is.

use std::time::SystemTime;

/// UNIX time in ns. Cores take it as an argument.
#[expect(clippy::disallowed_methods, reason = "the edge at which the clock is read")]
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
