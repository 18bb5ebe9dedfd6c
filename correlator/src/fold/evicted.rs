//! Maps that hold so much and no more: what made room for something else is counted, and told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Entries that made room since they were last told of.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Evicted(u64);

impl Evicted {
    /// Makes room for `key` in a map that holds at most `most` entries.
    pub(super) fn make_room<K: Ord, V>(&mut self, map: &mut BTreeMap<K, V>, key: &K, most: usize) {
        if map.len() >= most && !map.contains_key(key) {
            map.pop_first();
            self.add(1);
        }
    }

    /// So many entries made room.
    pub(super) fn add(&mut self, entries: u64) {
        self.0 += entries;
    }

    /// How many, since this was last asked.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_room_is_counted_once_and_what_is_there_already_needs_none() {
        let (mut map, mut evicted) = (BTreeMap::from([(1, "a"), (2, "b")]), Evicted::default());
        evicted.make_room(&mut map, &2, 2);
        assert_eq!((map.len(), evicted.take()), (2, 0));
        evicted.make_room(&mut map, &3, 2);
        assert_eq!((map.len(), evicted.take(), evicted.take()), (1, 1, 0));
    }
}
