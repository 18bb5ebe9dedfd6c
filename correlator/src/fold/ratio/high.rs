//! Which values of a distribution are high, by what is normal. Buckets are powers of two: shares of them are compared, not quantiles.

use serde::{Deserialize, Serialize};

use super::super::evidence::share;

/// Beyond what all but this share of the values reach, they are high.
const RARE: f64 = 0.01;
/// Weight of a new window in what is normal: half of it is forgotten in about half a minute.
pub(super) const LEARNING_RATE: f64 = 0.02;
/// What is normal is not known before so many windows: the first requests of a process are slow.
const LEAST_WINDOWS: u32 = 10;

/// What is normal of values, by bucket from the last that is never high.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Baseline {
    windows: u32,
    shares: Vec<f64>,
}

impl Baseline {
    /// The first high bucket, at least twice what is normal; `None` while too little is known.
    pub(super) fn first_high(&self) -> Option<usize> {
        if self.windows < LEAST_WINDOWS {
            return None;
        }
        let mut above = 0.0;
        let rare = self.shares.iter().rev().take_while(|share| {
            above += **share;
            above <= RARE
        });
        Some(self.shares.len() - rare.count() + 1)
    }

    /// The normal share of values from a bucket on.
    pub(super) fn share_from(&self, bucket: usize) -> f64 {
        self.shares.iter().skip(bucket).sum()
    }

    /// Takes the buckets of a window for normal, in which there were `total` values.
    pub(super) fn learn(&mut self, buckets: &[u64], total: u64) {
        if self.shares.len() < buckets.len() {
            self.shares.resize(buckets.len(), 0.0);
        }
        self.windows = self.windows.saturating_add(1);
        // The first windows count alike.
        let rate = LEARNING_RATE.max(1.0 / f64::from(self.windows));
        let counts = buckets.iter().copied().chain(std::iter::repeat(0));
        for (normal, count) in self.shares.iter_mut().zip(counts) {
            *normal += rate * (share(count, total) - *normal);
        }
    }
}

/// Adds bucket by bucket.
pub(super) fn add_buckets(sum: &mut Vec<u64>, buckets: &[u64]) {
    if sum.len() < buckets.len() {
        sum.resize(buckets.len(), 0);
    }
    for (sum, count) in sum.iter_mut().zip(buckets) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(windows: u32, buckets: &[u64]) -> Baseline {
        let mut normal = Baseline::default();
        for _ in 0..windows {
            normal.learn(buckets, 100);
        }
        normal
    }

    #[test]
    fn high_is_beyond_twice_what_nearly_all_values_reach() {
        assert_eq!(after(9, &[]).first_high(), None, "too little is known");
        assert_eq!(after(10, &[]).first_high(), Some(1), "all are low");
        assert_eq!(after(10, &[100]).first_high(), Some(2));
        assert_eq!(
            after(10, &[60, 39, 1]).first_high(),
            Some(3),
            "one in a hundred is rare"
        );
        assert_eq!(after(10, &[60, 38, 2]).first_high(), Some(4));
    }

    #[test]
    fn a_slow_start_is_forgotten() {
        let mut normal = after(3, &[0, 0, 0, 100]);
        (0..10).for_each(|_| normal.learn(&[], 100));
        assert_eq!(normal.first_high(), Some(5));
        (0..300).for_each(|_| normal.learn(&[], 100));
        assert_eq!(normal.first_high(), Some(1));
    }
}
