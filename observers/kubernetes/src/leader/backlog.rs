//! What a replica saw while another one led.

use std::collections::VecDeque;

use super::Seen;

/// Longer than it takes a replica to find out that the leader is gone.
const KEEP_NS: u64 = 120 * 1_000_000_000;
/// A rollout of everything in a large cluster.
const MOST: usize = 10_000;

/// What was seen lately, oldest first; bounded in age and number.
#[derive(Debug)]
pub(super) struct Backlog<T>(VecDeque<T>);

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Seen> Backlog<T> {
    pub(super) fn keep(&mut self, item: T) {
        let oldest_ns = item.observed_ns().saturating_sub(KEEP_NS);
        while self.0.len() >= MOST || self.0.front().is_some_and(|kept| kept.observed_ns() < oldest_ns) {
            self.0.pop_front();
        }
        self.0.push_back(item);
    }

    /// Empties it; gives what was seen at `since_ns` or later.
    pub(super) fn since(&mut self, since_ns: u64) -> impl Iterator<Item = T> + '_ {
        self.0
            .drain(..)
            .filter(move |item| item.observed_ns() >= since_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct At(u64);

    impl Seen for At {
        fn observed_ns(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_new_leader_tells_only_what_the_former_one_cannot_have_told() {
        let mut backlog = Backlog::default();
        backlog.keep(At(10));
        backlog.keep(At(20));
        assert_eq!(backlog.since(15).collect::<Vec<_>>(), [At(20)]);
        assert_eq!(backlog.since(0).count(), 0);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut backlog = Backlog::default();
        backlog.keep(At(0));
        backlog.keep(At(KEEP_NS + 1));
        assert_eq!(backlog.since(0).count(), 1);
    }
}
