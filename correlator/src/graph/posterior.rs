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
    /// Every root once.
    roots: Vec<Root>,
    numbers: BTreeMap<Root, usize>,
    /// The roots of each episode, by their place in `roots`.
    shares: BTreeMap<EventId, BTreeMap<usize, f64>>,
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
        if self.shares.contains_key(&id) {
            return;
        }
        let Some(node) = view.forest.node(id) else {
            return;
        };
        // Meanwhile it is its own root: where candidates go round in a circle, the way ends here.
        let own = self.own_shares(node, id, 1.0);
        self.shares.insert(id, own);
        let alone = if node.is_part() { 0.0 } else { node.alone };
        let mut shares = self.own_shares(node, id, alone);
        for missed in node
            .missed
            .iter()
            .filter(|missed| missed.share >= LEAST_PROBABILITY)
        {
            let unseen = self.number(Root::Unseen(missed.place.clone(), missed.label.clone()));
            *shares.entry(unseen).or_default() += missed.share;
        }
        for link in node.causes().filter(|link| link.share >= LEAST_PROBABILITY) {
            if let Some(further) = further.checked_sub(1) {
                self.weigh(view, link.cause, further);
            }
            let itself = BTreeMap::from([(self.number(Root::Seen(link.cause)), 1.0)]);
            let of_cause = self.shares.get(&link.cause).unwrap_or(&itself);
            for (root, probability) in of_cause {
                *shares.entry(*root).or_default() += link.share * probability;
            }
        }
        shares.retain(|_, probability| *probability >= LEAST_PROBABILITY);
        self.shares.insert(id, shares);
    }

    /// Where an episode began with this probability, of which no cause was seen.
    fn own_shares(&mut self, node: &Node, id: EventId, probability: f64) -> BTreeMap<usize, f64> {
        match node.cause_at.clone() {
            None => BTreeMap::from([(self.number(Root::Seen(id)), probability)]),
            Some((place, label)) => BTreeMap::from([
                (
                    self.number(Root::Unseen(place, label)),
                    probability * WHERE_IT_SHOWS,
                ),
                (self.number(Root::Elsewhere), probability * (1.0 - WHERE_IT_SHOWS)),
            ]),
        }
    }

    /// The place of a root in `roots`.
    fn number(&mut self, root: Root) -> usize {
        let Self { roots, numbers, .. } = self;
        *numbers.entry(root).or_insert_with_key(|root| {
            roots.push(root.clone());
            roots.len() - 1
        })
    }

    /// Probability that `root` is the root of `id`.
    pub(super) fn probability(&self, id: EventId, root: EventId) -> f64 {
        let number = self.numbers.get(&Root::Seen(root));
        let shares = self.shares.get(&id);
        let share = number.and_then(|number| shares?.get(number));
        share.copied().unwrap_or(0.0)
    }

    /// Every root of `id` with its probability.
    pub(super) fn roots_of(&self, id: EventId) -> impl Iterator<Item = (&Root, f64)> {
        let shares = self.shares.get(&id).into_iter().flatten();
        shares.filter_map(|(number, probability)| Some((self.roots.get(*number)?, *probability)))
    }
}
