//! Candidates compete: for each episode of a tree, how probable is each cause, and so each root.
//!
//! Every episode has one immediate cause: one of its candidate links, nothing at all (its condition's spontaneous weight),
//! or something that no observer could see (of each observer the largest prior of a rule whose cause it would have seen, times
//! its blindness).
//! What was not seen is needed only as far as none of the links was at work: its weight is that of a noisy OR (Pearl 1988,
//! §4.3.2), times Π(1 − weight). The probability of each is its share of the sum, so what explains an effect well is explained
//! away for the others.
//! Roots follow by walking the causes before their effects: P(root of e is r) = Σ over causes c of P(c causes e) · P(root of c is r).

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::EventId;
use bus_schema::entity::HOST_NAMESPACE;
use bus_schema::episode::Episode;

use super::View;
use super::forest::Node;
use super::links::{Link, fits};
use crate::condition::Condition;
use crate::condition::row::Applies;
use crate::rules::{Rule, RuleBook};

/// Chains of candidates are followed this far; what is beyond counts as a root.
const LONGEST_CHAIN: usize = 64;
/// A root with less than this changes no figure that anybody is told.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Probabilities of some episodes and of all that may have caused them.
#[derive(Debug, Default)]
pub(super) struct Posterior {
    weighed: BTreeMap<EventId, Weighed>,
}

#[derive(Debug, Default)]
struct Weighed {
    /// Sum of all weights.
    total: f64,
    /// Probability of each root.
    roots: BTreeMap<EventId, f64>,
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
        if self.weighed.contains_key(&id) {
            return;
        }
        let (Some(node), Some(episode)) = (view.forest.node(id), view.world.episodes.get(&id)) else {
            return;
        };
        let unseen = weight_of_unseen(view, episode, &node.links);
        let alone = node.spontaneous * node.none;
        let total = node.links.iter().map(|link| link.weight).sum::<f64>() + alone + unseen * node.none;
        // Meanwhile it is its own root: where candidates go round in a circle, the way ends here.
        let roots = BTreeMap::from([(id, 1.0)]);
        self.weighed.insert(id, Weighed { total, roots });
        let mut roots = BTreeMap::from([(id, alone / total)]);
        for link in &node.links {
            if let Some(further) = further.checked_sub(1) {
                self.weigh(view, link.cause, further);
            }
            let itself = BTreeMap::from([(link.cause, 1.0)]);
            let of_cause = self
                .weighed
                .get(&link.cause)
                .map_or(&itself, |cause| &cause.roots);
            for (root, probability) in of_cause {
                *roots.entry(*root).or_default() += link.weight / total * probability;
            }
        }
        roots.retain(|_, probability| *probability >= LEAST_PROBABILITY);
        self.weighed.insert(id, Weighed { total, roots });
    }

    /// Probability that `root` is the root of `id`.
    pub(super) fn probability(&self, id: EventId, root: EventId) -> f64 {
        let weighed = self.weighed.get(&id);
        weighed
            .and_then(|weighed| weighed.roots.get(&root))
            .copied()
            .unwrap_or(0.0)
    }

    /// Probability of each immediate cause of `id`, by link.
    pub(super) fn shares<'a>(&self, view: View<'a>, id: EventId) -> impl Iterator<Item = (&'a Link, f64)> {
        let total = self.total(id);
        let links = view.forest.node(id).into_iter().flat_map(|node| &node.links);
        links.map(move |link| (link, link.weight / total))
    }

    /// Probability of a cause of `id` that nobody saw, of this weight.
    pub(super) fn share_of_unseen(&self, node: &Node, id: EventId, weight: f64) -> f64 {
        weight * node.none / self.total(id)
    }

    fn total(&self, id: EventId) -> f64 {
        self.weighed
            .get(&id)
            .map_or(f64::INFINITY, |weighed| weighed.total)
    }
}

/// What the observers may have missed, each of them its likeliest: it misses one thing, however many rules would explain it.
fn weight_of_unseen(view: View<'_>, effect: &Arc<Episode>, links: &[Link]) -> f64 {
    let mut missed: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, cause, weight) in unseen_causes(view, effect, links) {
        let observer = view
            .book
            .catalogue
            .row(cause)
            .map_or("", |row| row.observer.as_str());
        let likeliest = missed.entry(observer).or_default();
        *likeliest = likeliest.max(weight);
    }
    missed.values().sum()
}

/// Rules whose causes were not seen: rule, cause, and the weight that remains because nobody sees everything.
pub(super) fn unseen_causes<'a>(
    view: View<'a>,
    effect: &'a Arc<Episode>,
    links: &'a [Link],
) -> impl Iterator<Item = (&'a Rule, Condition, f64)> {
    let condition = view.book.catalogue.condition(&effect.condition);
    let rules = condition
        .into_iter()
        .flat_map(|condition| view.book.explaining(condition));
    let possible = rules.filter(|rule| !rule.joins && fits(view.book, rule, effect, None));
    possible.filter_map(move |rule| {
        let seen = |cause: Condition| {
            let is_it = |link: &Link| {
                view.index
                    .entry(link.cause)
                    .is_some_and(|entry| entry.condition == cause)
            };
            links.iter().any(is_it)
        };
        let unseen = rule
            .cause
            .iter()
            .filter(|cause| applies(view.book, **cause, effect) && !seen(**cause));
        let weighed = unseen.filter_map(|cause| {
            let observer = &view.book.catalogue.row(*cause)?.observer;
            let coverage = &view.world.coverage;
            let blindness = coverage.blindness(observer, &effect.subject, effect.start_ns);
            Some((*cause, rule.prior * blindness))
        });
        let (cause, weight) = weighed.max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some((&**rule, cause, weight))
    })
}

/// Whether such a cause can occur at all where the effect is.
pub(super) fn applies(book: &RuleBook, cause: Condition, effect: &Episode) -> bool {
    let on_host = effect.subject.namespace() == HOST_NAMESPACE;
    match book.catalogue.row(cause).map(|row| row.applies) {
        Some(Applies::Both) => true,
        Some(Applies::Host) => on_host,
        Some(Applies::Kubernetes) => !on_host,
        None => false,
    }
}
