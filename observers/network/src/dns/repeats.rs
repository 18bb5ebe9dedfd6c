//! The same again and again is one thing: it is told at once, when it has come three times, and at powers of two.

use std::collections::HashMap;
use std::hash::Hash;

/// What stays away for so long is new when it comes again, ns.
const FORGET_NS: u64 = 60 * 1_000_000_000;
/// Most things remembered; what is more is told each time.
const MOST: usize = 8192;
/// So many are a repetition.
const REPEATED: u64 = 3;

/// What has come, by what makes it the same.
#[derive(Debug)]
pub(super) struct Repeats<K> {
    known: HashMap<K, Known>,
}

#[derive(Debug, Default)]
struct Known {
    total: u64,
    untold: u64,
    last_ns: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        let known = HashMap::new();
        Self { known }
    }
}

impl<K: Eq + Hash> Repeats<K> {
    /// It has come at `now_ns` since boot; says for how many to tell it now.
    pub(super) fn came(&mut self, key: K, now_ns: u64) -> Option<u64> {
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.known.retain(|_, known| now_ns < known.last_ns + FORGET_NS);
            if self.known.len() >= MOST {
                return Some(1);
            }
        }
        let known = self.known.entry(key).or_default();
        if known.total > 0 && now_ns >= known.last_ns + FORGET_NS {
            *known = Known::default();
        }
        known.last_ns = now_ns;
        known.total += 1;
        known.untold += 1;
        let is_due = known.total == 1
            || known.total == REPEATED
            || known.total > REPEATED && known.total.is_power_of_two();
        is_due.then(|| std::mem::take(&mut known.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_repeats_is_told_seldom_and_counted_wholly() {
        let mut repeats = Repeats::default();
        let told: Vec<_> = (1..=40).map(|_| repeats.came("name", SECOND)).collect();
        let at = |number: usize| told[number - 1];
        assert_eq!((at(1), at(2), at(3), at(4)), (Some(1), None, Some(2), Some(1)));
        assert_eq!(
            (at(8), at(16), at(32), at(40)),
            (Some(4), Some(8), Some(16), None)
        );
        assert_eq!(told.iter().flatten().sum::<u64>(), 32);
        assert_eq!(repeats.came("other", SECOND), Some(1));
        assert_eq!(
            repeats.came("name", 61 * SECOND),
            Some(1),
            "after a minute it is new"
        );
    }

    #[test]
    fn memory_is_bounded_and_what_is_not_remembered_is_told() {
        let mut repeats = Repeats::default();
        assert!((0..2 * MOST).all(|key| repeats.came(key, SECOND) == Some(1)));
        assert_eq!(repeats.known.len(), MOST);
        assert_eq!(repeats.came(2 * MOST, SECOND), Some(1));
        assert_eq!(repeats.came(2 * MOST, SECOND), Some(1));
    }
}
