//! What a replica saw while another one led.

use std::collections::VecDeque;

use super::known::Change;

/// Longer than it takes a replica to find out that the leader is gone.
const KEEP_NS: u64 = 120 * 1_000_000_000;
/// A rollout of everything in a large cluster.
const MOST: usize = 10_000;

/// Recent changes, oldest first; bounded in age and number.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Change>);

impl Backlog {
    pub(super) fn keep(&mut self, change: Change) {
        let oldest_ns = change.observed_ns.saturating_sub(KEEP_NS);
        while self.0.len() >= MOST || self.0.front().is_some_and(|kept| kept.observed_ns < oldest_ns) {
            self.0.pop_front();
        }
        self.0.push_back(change);
    }

    /// Empties it; gives those that were observed at `since_ns` or later.
    pub(super) fn since(&mut self, since_ns: u64) -> impl Iterator<Item = Change> + '_ {
        self.0
            .drain(..)
            .filter(move |change| change.observed_ns >= since_ns)
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::entity::Workload;

    use super::super::known::What;
    use super::*;

    fn seen_at(observed_ns: u64) -> Change {
        Change {
            workload: Workload::default(),
            what: What::Spec {
                differences: Vec::new(),
                omitted: 0,
            },
            generation: 1,
            manager: String::new(),
            written_ns: observed_ns,
            time_ns: observed_ns,
            observed_ns,
            is_of_template: false,
            is_rollback: false,
        }
    }

    #[test]
    fn a_new_leader_tells_only_what_the_former_one_cannot_have_told() {
        let mut backlog = Backlog::default();
        backlog.keep(seen_at(10));
        backlog.keep(seen_at(20));
        let told: Vec<_> = backlog.since(15).map(|change| change.observed_ns).collect();
        assert_eq!(told, [20]);
        assert_eq!(backlog.since(0).count(), 0);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut backlog = Backlog::default();
        backlog.keep(seen_at(0));
        backlog.keep(seen_at(KEEP_NS + 1));
        assert_eq!(backlog.since(0).count(), 1);
    }
}
