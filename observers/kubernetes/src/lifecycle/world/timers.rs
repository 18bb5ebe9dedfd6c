//! Which objects are to be looked at again, and when.

use std::collections::{BTreeSet, HashMap};

use crate::lifecycle::finding::NEVER;
use crate::lifecycle::key::Key;

/// At most one time for each object.
#[derive(Debug, Default)]
pub(super) struct Timers {
    ordered: BTreeSet<(u64, Key)>,
    times: HashMap<Key, u64>,
}

impl Timers {
    /// The object is looked at again at this time, and not before.
    pub(super) fn set(&mut self, key: &Key, at_ns: u64) {
        self.forget(key);
        if at_ns != NEVER {
            self.ordered.insert((at_ns, key.clone()));
            self.times.insert(key.clone(), at_ns);
        }
    }

    pub(super) fn no_later_than(&mut self, key: &Key, at_ns: u64) {
        if self.times.get(key).is_none_or(|known_ns| *known_ns > at_ns) {
            self.set(key, at_ns);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(at_ns) = self.times.remove(key) {
            self.ordered.remove(&(at_ns, key.clone()));
        }
    }

    /// Takes one whose time has come.
    pub(super) fn next_due(&mut self, now_ns: u64) -> Option<Key> {
        let (at_ns, key) = self.ordered.first()?;
        if *at_ns > now_ns {
            return None;
        }
        let key = key.clone();
        self.forget(&key);
        Some(key)
    }

    pub(super) fn first_ns(&self) -> Option<u64> {
        self.ordered.first().map(|(at_ns, _)| *at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn an_object_has_one_time_and_the_earlier_one_can_win() {
        let mut timers = Timers::default();
        let (a, b) = (Key::new(Kind::Pod, "n", "a"), Key::new(Kind::Pod, "n", "b"));
        timers.set(&a, 30);
        timers.set(&a, 20);
        timers.no_later_than(&a, 25);
        timers.no_later_than(&b, 10);
        assert_eq!(timers.first_ns(), Some(10));
        assert_eq!(timers.next_due(15), Some(b));
        assert_eq!(timers.next_due(15), None);
        timers.set(&a, NEVER);
        assert_eq!(timers.first_ns(), None);
    }
}
