//! A member that does not keep up says so, instead of handing its trouble to the next.

use std::time::Duration;

use tokio::time::Instant;

use crate::health::Readiness;

/// Event time behind the clock that is more than the way takes …
const BEHIND: Duration = Duration::from_secs(10);
/// … and for how long: after a restart everybody has something to catch up with.
const FOR: Duration = Duration::from_secs(30);
/// It is told again this often.
const AGAIN: Duration = Duration::from_secs(60);

/// Since when a partition has been behind.
#[derive(Debug, Default)]
pub(super) struct Behind {
    since: Option<Instant>,
    told: Option<Instant>,
}

/// What to say of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It keeps up.
    KeepsUp,
    /// It is behind; the first time, and again while that lasts, downstream is told.
    Behind {
        /// Whether downstream is to be told now.
        tell: bool,
    },
}

impl Behind {
    /// Takes note of a lag.
    pub(super) fn note(&mut self, lag: Duration, now: Instant) -> Pace {
        if lag < BEHIND {
            *self = Self::default();
            return Pace::KeepsUp;
        }
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < FOR {
            return Pace::KeepsUp;
        }
        let tell = self.told.is_none_or(|told| now.duration_since(told) >= AGAIN);
        if tell {
            self.told = Some(now);
        }
        Pace::Behind { tell }
    }
}

/// Says that the process is not ready, for as long as it exists: whoever loses the partition takes it along.
#[derive(Debug)]
pub(super) struct Unready {
    readiness: Readiness,
    what: String,
}

impl Unready {
    pub(super) fn new(readiness: &Readiness, what: String, why: String) -> Self {
        readiness.waiting(&what, why);
        Self {
            readiness: readiness.clone(),
            what,
        }
    }
}

impl Drop for Unready {
    fn drop(&mut self) {
        self.readiness.ready(&self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_catches_up_in_time_is_not_behind_and_who_does_not_is_told_of_once_a_minute() {
        let (mut behind, start) = (Behind::default(), Instant::now());
        let mut at = |seconds: u64, lag: u64| {
            behind.note(Duration::from_secs(lag), start + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, 60), Pace::KeepsUp);
        assert_eq!(at(29, 10), Pace::KeepsUp);
        assert_eq!(at(30, 9), Pace::KeepsUp);
        assert_eq!(at(40, 10), Pace::KeepsUp);
        assert_eq!(at(70, 10), Pace::Behind { tell: true });
        assert_eq!(at(100, 10), Pace::Behind { tell: false });
        assert_eq!(at(130, 10), Pace::Behind { tell: true });
        assert_eq!(at(131, 0), Pace::KeepsUp);
    }
}
