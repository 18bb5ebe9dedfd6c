//! How much of something there was in the last minute, from its count since the beginning.

use std::collections::VecDeque;

const MINUTE_NS: u64 = 60_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Counts of the last minute, second by second.
#[derive(Debug, Clone, Default)]
pub struct LastMinute {
    /// When it was counted (ns of any clock), and the count since the beginning.
    marks: VecDeque<(u64, u64)>,
}

impl LastMinute {
    /// What came to `total` in the minute before `now_ns`, to a second. It has to be asked once a second.
    pub fn of(&mut self, now_ns: u64, total: u64) -> u64 {
        let oldest_ns = now_ns.saturating_sub(MINUTE_NS);
        while self.marks.get(1).is_some_and(|next| next.0 <= oldest_ns) {
            self.marks.pop_front();
        }
        let since = self.marks.front().map_or(0, |mark| mark.1);
        let last = self.marks.back();
        if last.is_none_or(|last| now_ns >= last.0.saturating_add(SECOND_NS)) {
            self.marks.push_back((now_ns, total));
        }
        total.saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let mut minute = LastMinute::default();
        let at = |second: u64| second * SECOND_NS;
        assert_eq!(minute.of(at(100), 7), 7, "since the beginning");
        for second in 101..=160 {
            minute.of(at(second), 7 + (second - 100) * 10);
        }
        assert_eq!(minute.of(at(161), 617), 600);
        assert_eq!(minute.of(at(300), 617), 0);
        assert!(minute.marks.len() <= 62, "{}", minute.marks.len());
    }

    #[test]
    fn a_clock_that_jumps_back_gives_no_wrong_count() {
        let mut minute = LastMinute::default();
        minute.of(1_000 * SECOND_NS, 10);
        assert_eq!(minute.of(5 * SECOND_NS, 12), 2);
    }
}
