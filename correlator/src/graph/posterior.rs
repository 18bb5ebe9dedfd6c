//! From the causes of each episode to its roots.
//!
//! What each episode is put down to is known (`faults`): one of its candidate links, something that nobody saw, or nothing at all.
//! Roots follow by walking the causes before their effects: P(root of e is r) = Σ over causes c of P(c causes e) · P(root of c is r).

use std::collections::BTreeMap;

use bus_schema::EventId;

use super::View;
use super::forest::Node;

/// Chains of candidates are followed this far; what is beyond counts as a root.
const LONGEST_CHAIN: usize = 64;
/// A root with less than this changes no figure that anybody is told.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Of causes that no observer tells of, so many are where they are first suffered; the others are further on, where nobody looks:
/// an assumption.
const WHERE_IT_SHOWS: f64 = 0.8;

/// Where the causes of something may begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    /// With an episode that needed no cause.
    Seen(EventId),
    /// With something that nobody saw at the place of this key and short name.
    Unseen(String, String),
    /// With something that nobody saw, nobody knows where.
    Elsewhere,
}

/// Probabilities of the roots of some episodes, and of all that may have caused them.
#[derive(Debug, Default)]
pub(super) struct Posterior {
    roots: BTreeMap<EventId, BTreeMap<Root, f64>>,
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
        self.roots.insert(id, own_roots(node, id, 1.0));
        let alone = if node.is_part() { 0.0 } else { node.alone };
        let mut roots = own_roots(node, id, alone);
        for missed in &node.missed {
            let unseen = Root::Unseen(missed.place.clone(), missed.label.clone());
            *roots.entry(unseen).or_default() += missed.share;
        }
        for link in node.causes() {
            if let Some(further) = further.checked_sub(1) {
                self.weigh(view, link.cause, further);
            }
            let itself = BTreeMap::from([(Root::Seen(link.cause), 1.0)]);
            let of_cause = self.roots.get(&link.cause).unwrap_or(&itself);
            for (root, probability) in of_cause {
                *roots.entry(root.clone()).or_default() += link.share * probability;
            }
        }
        roots.retain(|_, probability| *probability >= LEAST_PROBABILITY);
        self.roots.insert(id, roots);
    }

    /// Probability that `root` is the root of `id`.
    pub(super) fn probability(&self, id: EventId, root: EventId) -> f64 {
        let roots = self.roots.get(&id);
        let root = roots.and_then(|roots| roots.get(&Root::Seen(root)));
        root.copied().unwrap_or(0.0)
    }

    /// Every root of `id` with its probability.
    pub(super) fn roots_of(&self, id: EventId) -> impl Iterator<Item = (&Root, f64)> {
        let roots = self.roots.get(&id).into_iter().flatten();
        roots.map(|(root, probability)| (root, *probability))
    }
}

/// Where an episode began with this probability, of which no cause was seen.
fn own_roots(node: &Node, id: EventId, probability: f64) -> BTreeMap<Root, f64> {
    match node.cause_at.clone() {
        None => BTreeMap::from([(Root::Seen(id), probability)]),
        Some((place, label)) => BTreeMap::from([
            (Root::Unseen(place, label), probability * WHERE_IT_SHOWS),
            (Root::Elsewhere, probability * (1.0 - WHERE_IT_SHOWS)),
        ]),
    }
}
