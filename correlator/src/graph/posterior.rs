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
/// A cause or a root with less than this is left out: hundreds of such change no figure that anybody is told.
const LEAST_PROBABILITY: f64 = 1e-5;

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

/// Roots by their place among all, in that order, each with its probability.
type Shares = Vec<(usize, f64)>;

/// Probabilities of the roots of some episodes, and of all that may have caused them.
#[derive(Debug, Default)]
pub(super) struct Posterior {
    /// Every root once.
    roots: Vec<Root>,
    numbers: BTreeMap<Root, usize>,
    shares: BTreeMap<EventId, Shares>,
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
        let links: Vec<_> = node
            .causes()
            .filter(|link| link.share >= LEAST_PROBABILITY)
            .collect();
        if let Some(further) = further.checked_sub(1) {
            for link in &links {
                self.weigh(view, link.cause, further);
            }
        }
        let alone = if node.is_part() { 0.0 } else { node.alone };
        let mut own = self.own_shares(node, id, alone);
        own.extend(self.missed_shares(node));
        for link in links.iter().filter(|link| !view.forest.knows(link.cause)) {
            own.push((self.number(Root::Seen(link.cause)), link.share));
        }
        let of_causes = links
            .iter()
            .filter_map(|link| Some((link.share, self.shares.get(&link.cause)?)));
        let shares = sum(self.roots.len(), [(1.0, &own)].into_iter().chain(of_causes));
        self.shares.insert(id, shares);
    }

    /// Where an episode began with this probability, of which no cause was seen.
    fn own_shares(&mut self, node: &Node, id: EventId, probability: f64) -> Shares {
        match node.cause_at.clone() {
            None => vec![(self.number(Root::Seen(id)), probability)],
            Some((place, label)) => vec![
                (
                    self.number(Root::Unseen(place, label)),
                    probability * WHERE_IT_SHOWS,
                ),
                (self.number(Root::Elsewhere), probability * (1.0 - WHERE_IT_SHOWS)),
            ],
        }
    }

    /// Where it began, as far as an observer may have missed it.
    fn missed_shares(&mut self, node: &Node) -> Shares {
        let missed = node.missed.iter();
        let likely = missed.filter(|missed| missed.share >= LEAST_PROBABILITY);
        let shares = likely.map(|missed| {
            let root = Root::Unseen(missed.place.clone(), missed.label.clone());
            (self.number(root), missed.share)
        });
        shares.collect()
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
        let root = Root::Seen(root);
        let mut roots = self.roots_of(id);
        roots
            .find(|(of, _)| **of == root)
            .map_or(0.0, |(_, probability)| probability)
    }

    /// Every root of `id` with its probability.
    pub(super) fn roots_of(&self, id: EventId) -> impl Iterator<Item = (&Root, f64)> {
        let shares = self.shares.get(&id).into_iter().flatten();
        shares.filter_map(|(number, probability)| Some((self.roots.get(*number)?, *probability)))
    }
}

/// The roots of several parts, each with its share; `count` is how many roots there are in all. Many causes have the same roots,
/// and a place for each is found sooner than an entry.
fn sum<'a>(count: usize, parts: impl Iterator<Item = (f64, &'a Shares)>) -> Shares {
    let mut sums = vec![0.0_f64; count];
    for (share, roots) in parts {
        for (number, probability) in roots {
            if let Some(sum) = sums.get_mut(*number) {
                *sum += share * probability;
            }
        }
    }
    let numbered = sums.into_iter().enumerate();
    numbered
        .filter(|(_, probability)| *probability >= LEAST_PROBABILITY)
        .collect()
}
