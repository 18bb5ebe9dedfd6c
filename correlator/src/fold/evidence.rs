//! How much speaks for a change: a sequential test of failures against their normal share, in bits.
//!
//! Each window adds the logarithm of how much likelier it is under the share of failures seen since the test began than under
//! the normal one (a generalised likelihood ratio, summed as in Page's CUSUM). A few windows with little traffic tell
//! as much as one with a lot; what speaks against a change takes back what spoke for it.

use serde::{Deserialize, Serialize};

/// This many bits are no chance: one in a million.
pub(super) const SURPRISING_BITS: f64 = 20.0;
/// A smaller change of the odds of failure is not looked for: it would be found in noise.
const LEAST_ODDS_RATIO: f64 = 3.0;
/// Nothing fails for certain, or one success would disprove it for good.
const MOST_CERTAIN: f64 = 0.99;

/// The test of one way to fail. Empty while nothing speaks for a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// Since it began.
    failed: u64,
    /// Since it began.
    total: u64,
    /// Windows since it began.
    #[serde(default)]
    windows: u32,
    bits: f64,
    /// A change was found in it.
    #[serde(default)]
    is_proven: bool,
}

/// Windows of which it turned out that they speak for no change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Refuted {
    /// The share of failures in them.
    pub(super) share: f64,
    /// How many there are.
    pub(super) windows: u32,
}

impl Evidence {
    /// Adds a window in which `failed` of `total` failed where the share `normal` does. Gives the bits for a change so
    /// far, from 0.
    pub(super) fn add(&mut self, failed: u64, total: u64, normal: f64) -> f64 {
        if failed == 0 && self.is_empty() {
            return 0.0;
        }
        let total = total.max(failed);
        self.failed += failed;
        self.total += total;
        self.windows += 1;
        let seen = share(self.failed, self.total);
        let changed = seen.max(worse(normal)).min(MOST_CERTAIN);
        let bits = self.bits + likelier_bits(failed, total, changed, normal.min(changed));
        if bits <= 0.0 {
            let was_alone = self.total == total;
            *self = Self::default();
            // It may speak for another change than the windows before it did.
            return if was_alone {
                0.0
            } else {
                self.add(failed, total, normal)
            };
        }
        // It need not be more certain than certain: recovery must be believed as fast after an hour as after a second.
        self.bits = bits.min(SURPRISING_BITS);
        self.is_proven |= bits >= SURPRISING_BITS;
        bits
    }

    /// What of the test `before` the last window turned out to be no change; a change that is over was one.
    pub(super) fn refuted(&self, before: &Self) -> Option<Refuted> {
        let is_over = before.windows > 0 && self.windows <= before.windows;
        (is_over && !before.is_proven).then(|| Refuted {
            share: share(before.failed, before.total),
            windows: before.windows,
        })
    }

    /// The share of failures since the test began.
    pub(super) fn share(&self) -> f64 {
        share(self.failed, self.total)
    }

    /// Whether nothing speaks for a change.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// The share of failures among all.
#[expect(clippy::cast_precision_loss, reason = "counts per second")]
pub(super) fn share(failed: u64, total: u64) -> f64 {
    failed as f64 / total.max(1) as f64
}

/// The least share that counts as changed from `normal`.
fn worse(normal: f64) -> f64 {
    let odds = LEAST_ODDS_RATIO * normal / (1.0 - normal).max(f64::EPSILON);
    odds / (1.0 + odds)
}

/// How much likelier `failed` of `total` are when each fails with probability `changed` than with `normal`.
#[expect(clippy::cast_precision_loss, reason = "counts per second")]
fn likelier_bits(failed: u64, total: u64, changed: f64, normal: f64) -> f64 {
    let succeeded = (total - failed) as f64;
    failed as f64 * (changed / normal).log2() + succeeded * ((1.0 - changed) / (1.0 - normal)).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: f64 = 0.002;

    /// The first window by which a change is no chance.
    fn surprised(windows: impl IntoIterator<Item = (u64, u64)>, normal: f64) -> Option<usize> {
        let mut evidence = Evidence::default();
        windows
            .into_iter()
            .position(|(failed, total)| evidence.add(failed, total, normal) >= SURPRISING_BITS)
    }

    #[test]
    fn one_window_is_enough_where_there_is_traffic() {
        assert_eq!(surprised([(190, 200)], NORMAL), Some(0));
        assert_eq!(
            surprised([(3, 3)], NORMAL),
            Some(0),
            "three of three, however few"
        );
        assert_eq!(
            surprised([(4, 200)], NORMAL),
            None,
            "a restart of 20 ms at 200 requests/s"
        );
    }

    #[test]
    fn an_outage_of_what_is_called_once_a_second_is_seen_and_one_failed_call_is_not() {
        assert_eq!(surprised([(1, 1); 10], NORMAL), Some(2));
        let once = [(1, 1)].into_iter().chain(vec![(0, 1); 1000]);
        assert_eq!(surprised(once, NORMAL), None);
    }

    #[test]
    fn a_small_share_that_goes_on_is_seen_and_the_normal_one_is_not() {
        let one_in = |windows: usize| (0..3600).map(move |window| (u64::from(window % windows == 0), 20));
        assert!(
            surprised(one_in(1), NORMAL).is_some_and(|window| window < 15),
            "5 %"
        );
        assert_eq!(surprised(one_in(25), NORMAL), None, "what is normal");
        assert_eq!(
            surprised(vec![(12, 100); 3600], 0.1),
            None,
            "what always fails every tenth time"
        );
    }

    #[test]
    fn recovery_is_believed_at_once_however_long_the_outage_was() {
        let mut evidence = Evidence::default();
        for _ in 0..3600 {
            evidence.add(200, 200, NORMAL);
        }
        let half_recovered = evidence.add(60, 200, NORMAL);
        assert!(half_recovered >= SURPRISING_BITS);
        evidence.add(0, 200, NORMAL);
        assert!(evidence.is_empty());
    }
}
