//! The schedule of an open loop: which requests are due, from the rate and the time alone.

use std::num::NonZeroU32;
use std::time::Duration;

const NS_PER_SECOND: u128 = 1_000_000_000;

/// A constant rate of requests.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    per_second: NonZeroU32,
}

impl Pace {
    /// `per_second` requests each second, the first at once.
    pub fn new(per_second: NonZeroU32) -> Self {
        Self { per_second }
    }

    /// The time between two requests.
    pub fn step(self) -> Duration {
        SECOND / self.per_second.get()
    }

    /// How many requests are due after `elapsed`.
    pub fn due(self, elapsed: Duration) -> u64 {
        let due = elapsed.as_nanos() * u128::from(self.per_second.get()) / NS_PER_SECOND + 1;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// When request `number` (from 0) is due.
    pub fn due_at(self, number: u64) -> Duration {
        let rate = u128::from(self.per_second.get());
        let ns = (u128::from(number) * NS_PER_SECOND).div_ceil(rate);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_second: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn the_first_is_due_at_once_and_the_rest_evenly() {
        assert_eq!(pace(100).due(Duration::ZERO), 1);
        assert_eq!(pace(100).due(Duration::from_millis(9)), 1);
        assert_eq!(pace(100).due(Duration::from_millis(10)), 2);
        assert_eq!(pace(100).due(Duration::from_secs(1)), 101);
    }

    #[test]
    fn a_request_is_due_exactly_from_its_own_time_on() {
        for number in 0..1000 {
            let at = pace(333).due_at(number);
            assert_eq!(pace(333).due(at), number + 1);
        }
    }
}
