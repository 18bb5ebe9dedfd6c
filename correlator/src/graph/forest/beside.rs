//! Effects of something that nobody saw at one place: what begins soon after another has the same cause as that one.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::EventId;

/// Whoever suffers from one thing begins to within this time, as incidents end after as long without a symptom. What comes later
/// is something else that nobody saw.
const TOGETHER_NS: u64 = 30_000_000_000;

/// By when they began, UNIX ns.
type Effects = BTreeSet<(u64, EventId)>;

/// All such effects by the key of the place.
#[derive(Debug, Default)]
pub(super) struct Beside(BTreeMap<String, Effects>);

impl Beside {
    /// Takes an effect in; gives the one after it, which may stand beside another now.
    pub(super) fn insert(&mut self, place: &str, effect: (u64, EventId)) -> Option<EventId> {
        let effects = self.0.entry(place.to_owned()).or_default();
        effects.insert(effect);
        after(effects, effect)
    }

    /// Takes an effect out; gives the one after it.
    pub(super) fn remove(&mut self, place: &str, effect: (u64, EventId)) -> Option<EventId> {
        let effects = self.0.get_mut(place)?;
        effects.remove(&effect);
        let after = after(effects, effect);
        if effects.is_empty() {
            self.0.remove(place);
        }
        after
    }

    /// The effect that began last before this one and with it.
    pub(super) fn before(&self, place: &str, effect: (u64, EventId)) -> Option<EventId> {
        let earlier = self.0.get(place)?.range(..effect).next_back()?;
        (effect.0 - earlier.0 <= TOGETHER_NS).then_some(earlier.1)
    }
}

fn after(effects: &Effects, effect: (u64, EventId)) -> Option<EventId> {
    let mut later = effects.range(effect..).filter(|later| **later != effect);
    later.next().map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_soon_after_another_stands_beside_it() {
        let second = 1_000_000_000;
        let mut beside = Beside::default();
        let [first, second, third] = [10, 30, 90].map(|at| (at * second, EventId(u128::from(at))));
        assert_eq!(beside.insert("p", third), None);
        assert_eq!(beside.insert("p", first), Some(third.1));
        assert_eq!(beside.insert("p", second), Some(third.1));
        assert_eq!(beside.before("p", first), None);
        assert_eq!(beside.before("p", second), Some(first.1));
        assert_eq!(beside.before("p", third), None, "a minute later");
        assert_eq!(beside.before("q", second), None, "elsewhere");
        assert_eq!(beside.remove("p", first), Some(second.1));
        assert_eq!(beside.before("p", second), None);
    }
}
