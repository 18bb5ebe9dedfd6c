//! Causes that a rule knows and nobody saw: where they would be, and how much the observers leave of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::Entity;
use bus_schema::entity::HOST_NAMESPACE;
use bus_schema::episode::Episode;

use super::index::Index;
use super::links::{Link, fits};
use super::world::World;
use crate::condition::row::Applies;
use crate::condition::{Condition, Row};
use crate::rules::ablation::Part;
use crate::rules::path::{CALLS, NAMES, Path, RUNS_ON};
use crate::rules::{Rule, RuleBook};

/// What begins a story at most so seldom is rather a step on the way to something that another observer sees.
pub(super) const LEAST_SPONTANEOUS: f64 = 0.1;

/// One sort of cause that was not seen.
#[derive(Debug)]
pub(super) struct Unseen<'a> {
    /// By which mechanism it would have worked.
    pub(super) rule: &'a Rule,
    /// What it would have been.
    pub(super) cause: Condition,
    /// Who would have told of it.
    pub(super) observer: &'a str,
    /// Probability that the observer would have missed it.
    pub(super) blindness: f64,
    /// Probability that it brings the effect about, as far as it would be a beginning.
    weight: f64,
}

/// What an observer may have missed at one place: it misses one thing, however many rules would explain it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missed {
    /// Short name of the place.
    pub(super) label: String,
    /// Largest of those of the rules that would explain it.
    pub(super) weight: f64,
    /// Probability that the observer would have missed it.
    pub(super) blindness: f64,
}

/// Rules whose causes were not seen.
pub(super) fn causes<'a>(
    book: &'a RuleBook,
    world: &'a World,
    index: &'a Index,
    effect: &'a Arc<Episode>,
    links: &'a [Link],
) -> impl Iterator<Item = Unseen<'a>> {
    let condition = book.catalogue.condition(&effect.condition);
    let rules = condition
        .into_iter()
        .flat_map(|condition| book.explaining(condition));
    let is_sought = !book.lacks(Part::Unseen);
    let possible = rules.filter(move |rule| is_sought && !rule.joins && fits(book, rule, effect, None));
    possible.filter_map(move |rule| {
        let is_seen = |cause: Condition| {
            let is_it = |link: &Link| {
                let entry = index.entry(link.cause);
                entry.is_some_and(|entry| entry.condition == cause)
            };
            links.iter().any(is_it)
        };
        let unseen = rule
            .cause
            .iter()
            .filter(|cause| applies(book, **cause, effect) && !is_seen(**cause));
        let weighed = unseen.filter_map(|cause| {
            let row = book.catalogue.row(*cause)?;
            let observer = row.observer.as_str();
            let blindness = world
                .coverage
                .blindness(observer, &effect.subject, effect.start_ns);
            Some(Unseen {
                rule,
                cause: *cause,
                observer,
                blindness,
                weight: weight(rule, row),
            })
        });
        weighed.max_by(|one, other| {
            let likely = |unseen: &Unseen<'_>| unseen.blindness * unseen.weight;
            likely(one).total_cmp(&likely(other))
        })
    })
}

/// Probability that such a cause brings an effect of the rule about, as far as it would be a beginning.
pub(super) fn weight(rule: &Rule, cause: &Row) -> f64 {
    rule.prior * (cause.spontaneous / LEAST_SPONTANEOUS).min(1.0)
}

/// The same by observer and the place where it would have looked.
pub(super) fn missed<'a>(
    unseen: impl Iterator<Item = Unseen<'a>>,
    effect: &Episode,
) -> BTreeMap<(String, String), Missed> {
    let mut missed: BTreeMap<(String, String), Missed> = BTreeMap::new();
    for one in unseen {
        // where that is not known it is near the effect
        let place = suspect(one.rule, effect);
        let place = place.as_ref().unwrap_or(&effect.subject);
        let key = (one.observer.to_owned(), place.key());
        let known = missed.entry(key).or_insert_with(|| Missed {
            label: place.label(),
            weight: 0.0,
            blindness: 0.0,
        });
        known.weight = known.weight.max(one.weight);
        known.blindness = known.blindness.max(one.blindness);
    }
    missed
}

/// On whom the cause would have been seen; `None` where that takes more than the effect says of itself.
pub(super) fn suspect(rule: &Rule, effect: &Episode) -> Option<Entity> {
    match &rule.path {
        Path::Same | Path::Process => Some(effect.subject.clone()),
        Path::Hops(hops) => match hops.as_slice() {
            [hop] if hop.forward && [CALLS, NAMES].contains(&hop.relation.as_str()) => effect.object.clone(),
            [hop] if hop.forward && hop.relation == RUNS_ON => {
                effect.subject.node.as_deref().map(Entity::of_node)
            }
            _ => None,
        },
    }
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
