//! A bug that strikes an exact share of the requests, evenly spread and without dice.

use std::sync::atomic::{AtomicU64, Ordering};

const WHOLE: u64 = 1_000_000;

/// Strikes `ratio` of the calls.
#[derive(Debug)]
pub struct Fault {
    millionths: u64,
    calls: AtomicU64,
}

impl Fault {
    /// None when `ratio` is not between 0 and 1.
    pub fn new(ratio: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&ratio) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million, checked above"
        )]
        let millionths = (ratio * 1_000_000.0).round() as u64;
        Some(Self {
            millionths,
            calls: AtomicU64::new(0),
        })
    }

    /// Whether this call is struck.
    pub fn strikes(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) % WHOLE;
        (call + 1) * self.millionths / WHOLE > call * self.millionths / WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(ratio: f64, calls: usize) -> usize {
        let fault = Fault::new(ratio).unwrap();
        (0..calls).filter(|_| fault.strikes()).count()
    }

    #[test]
    fn the_share_is_exact() {
        assert_eq!(struck(0.0, 1000), 0);
        assert_eq!(struck(0.25, 1000), 250);
        assert_eq!(struck(1.0, 1000), 1000);
    }

    #[test]
    fn a_ratio_beyond_one_or_not_a_number_is_refused() {
        assert!(Fault::new(1.1).is_none());
        assert!(Fault::new(-0.1).is_none());
        assert!(Fault::new(f64::NAN).is_none());
    }
}
