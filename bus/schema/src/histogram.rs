//! A histogram with one bucket per power of two, as the kernel programs count.

use serde::{Deserialize, Serialize};

/// Bucket `i` counts values in `[2^i, 2^(i+1))` nanoseconds; bucket 0 also holds zero. Trailing empty buckets are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Log2(pub Vec<u64>);

impl Log2 {
    /// Counts `count` observations of `value`.
    pub fn record(&mut self, value: u64, count: u64) {
        let bucket = value.checked_ilog2().unwrap_or(0) as usize;
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        if let Some(slot) = self.0.get_mut(bucket) {
            *slot += count;
        }
    }

    /// Adds every bucket of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// How many observations it holds.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Upper bound of the bucket in which the quantile `q` (0 to 1) lies; `None` when empty.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a small non-negative count"
    )]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = (self.total() as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.0.iter().enumerate().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank && *count > 0).then(|| 2_u64.saturating_pow(bucket as u32 + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_upper_bound_of_its_bucket() {
        let mut histogram = Log2::default();
        histogram.record(0, 1);
        histogram.record(1000, 98);
        histogram.record(1_000_000, 1);
        assert_eq!(histogram.quantile(0.5), Some(1024));
        assert_eq!(histogram.quantile(1.0), Some(1 << 20));
        assert_eq!(Log2::default().quantile(0.5), None);
    }
}
