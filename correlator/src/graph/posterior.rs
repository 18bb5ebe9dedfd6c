//! From the causes of each episode to its roots.
//!
//! What each episode is put down to is known (`faults`): one of its candidate links, something that nobody saw, or nothing at all.
//! Roots follow by walking the causes before their effects: P(root of e is r) = Σ over causes c of P(c causes e) · P(root of c is r).

use std::collections::BTreeMap;

use bus_schema::EventId;

use super::View;

/// Chains of candidates are followed this far; what is beyond counts as a root.
const LONGEST_CHAIN: usize = 64;
/// A root with less than this changes no figure that anybody is told.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Probabilities of the roots of some episodes, and of all that may have caused them.
#[derive(Debug, Default)]
pub(super) struct Posterior {
    roots: BTreeMap<EventId, BTreeMap<EventId, f64>>,
}

impl Posterior {
    /// Weighs these episodes.
    pub(super) fn of(view: View<'_>, ids: impl IntoIterator<Item = EventId>) -> Self {
        let mut posterior = Self::default();
        for id in ids {
            posterior.weigh(view, id, LONGEST_CHAIN);
        }
        posterior
    }

    fn weigh(&mut self, view: View<'_>, id: EventId, further: usize) {
        if self.roots.contains_key(&id) {
            return;
        }
        let Some(node) = view.forest.node(id) else {
            return;
        };
        // Meanwhile it is its own root: where candidates go round in a circle, the way ends here.
        self.roots.insert(id, BTreeMap::from([(id, 1.0)]));
        let mut roots = BTreeMap::from([(id, node.alone)]);
        for link in &node.links {
            if let Some(further) = further.checked_sub(1) {
                self.weigh(view, link.cause, further);
            }
            let itself = BTreeMap::from([(link.cause, 1.0)]);
            let of_cause = self.roots.get(&link.cause).unwrap_or(&itself);
            for (root, probability) in of_cause {
                *roots.entry(*root).or_default() += link.share * probability;
            }
        }
        roots.retain(|_, probability| *probability >= LEAST_PROBABILITY);
        self.roots.insert(id, roots);
    }

    /// Probability that `root` is the root of `id`.
    pub(super) fn probability(&self, id: EventId, root: EventId) -> f64 {
        let roots = self.roots.get(&id);
        roots.and_then(|roots| roots.get(&root)).copied().unwrap_or(0.0)
    }
}
