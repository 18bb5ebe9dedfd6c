//! Which episodes may have caused which: rules, relations and lags (`time`) turned into weights.

mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::episode::{Episode, Fact};
use bus_schema::{Entity, EventId};

use super::faults::Suspect;
use super::index::{Index, is_same_process};
use super::world::World;
use crate::condition::{Catalogue, Row};
use crate::fold::OTHERS_LISTENING;
use crate::rules::path::{EXCHANGES, Path};
use crate::rules::{Rule, RuleBook};
pub(super) use time::{began_ns, is_over};
use time::{causing, earliest_effect_ns, ends_process, freshness, lag_likelihood, precedes, timeliness};

/// A different pod of the same workload is half a step away.
const OTHER_POD: f64 = 0.6;
/// A change that comes again within this time is one of several.
const AGAIN_NS: u64 = 30 * 60 * 1_000_000_000;
/// Fact of a change that brings back what was there before.
const ROLLBACK: &str = "rollback";
/// Fact of a change of several things: how many.
const PARTS: &str = "parts";
/// Until the last pod of a former version is replaced, it goes on: a pod needs some seconds to start, and they follow each other.
const REPLACED_NS: u64 = 30_000_000_000;
/// What ran before is less likely to be at fault than what never did.
const RAN_BEFORE: f64 = 0.3;

/// A possible cause of an episode.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// What may have caused it.
    pub(super) cause: EventId,
    /// By which mechanism.
    pub(super) rule: Arc<Rule>,
    /// Probability that the cause brings the effect about, where it is at fault:
    /// prior × lag likelihood × freshness × proximity × share gone.
    pub(super) weight: f64,
    /// How much of the weight falls to this very lag, beside other lags: the density of lags over what is left of them.
    pub(super) timeliness: f64,
    /// Of what was done; what is suffered is known to be at work.
    pub(super) suspicion: Option<Suspicion>,
    /// Probability that the effect was brought about by it, in the light of everything else.
    pub(super) share: f64,
}

impl Link {
    /// To what it is told with, whatever the probabilities.
    pub(super) fn certain(cause: EventId, rule: &Arc<Rule>) -> Self {
        Self {
            cause,
            rule: Arc::clone(rule),
            weight: 1.0,
            timeliness: 1.0,
            suspicion: None,
            share: 1.0,
        }
    }

    /// Whether it is weighed as the other one, whatever the two are judged to be worth.
    pub(super) fn weighs_as(&self, other: &Self) -> bool {
        self.cause == other.cause
            && Arc::ptr_eq(&self.rule, &other.rule)
            && (self.weight, self.timeliness) == (other.weight, other.timeliness)
            && self.suspicion == other.suspicion
    }
}

/// Who is suspected by a link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Suspicion {
    /// What was done.
    pub(super) suspect: Suspect,
    /// Prior of its being at fault.
    pub(super) prior: f64,
    /// How many single changes this episode tells of it.
    pub(super) parts: f64,
}

/// Everything that may have caused the episode `id`, strongest first; of several links to one cause only the strongest.
pub(super) fn candidates(book: &RuleBook, world: &World, index: &Index, id: EventId) -> Vec<Link> {
    let (Some(effect), Some(entry)) = (world.episodes.get(&id), index.entry(id)) else {
        return Vec::new();
    };
    let mut best: BTreeMap<EventId, Link> = BTreeMap::new();
    for rule in book.explaining(entry.condition) {
        for condition in &rule.cause {
            let Some(row) = book.catalogue.row(*condition) else {
                continue;
            };
            let time = causing(row, rule, effect);
            let related = index.causes(world, &rule.path, *condition, entry, time);
            for cause in related.iter().filter_map(|cause| world.episodes.get(cause)) {
                let weight = weight(book, world, rule, index, cause, effect);
                let better = best.get(&cause.id).is_none_or(|link| link.weight < weight);
                if weight > 0.0 && better && fits(book, rule, effect, Some(cause)) {
                    let link = Link {
                        cause: cause.id,
                        rule: Arc::clone(rule),
                        weight,
                        timeliness: timeliness(&book.catalogue, rule, cause, effect),
                        suspicion: row
                            .is_point()
                            .then(|| suspicion(row, &book.catalogue, index, cause, effect)),
                        share: 0.0,
                    };
                    best.insert(link.cause, link);
                }
            }
        }
    }
    let mut links: Vec<_> = best.into_values().collect();
    // Of equals the nearest: ids begin with the time.
    links.sort_by(|one, other| {
        other
            .weight
            .total_cmp(&one.weight)
            .then(other.cause.cmp(&one.cause))
    });
    links
}

/// All episodes of which a link to `cause` may have to be weighed again, where they began at `from_ns` or later (UNIX).
pub(super) fn affected(
    book: &RuleBook,
    world: &World,
    index: &Index,
    cause: &Episode,
    from_ns: u64,
) -> Vec<EventId> {
    let Some(entry) = index.entry(cause.id) else {
        return Vec::new();
    };
    let time = from_ns.max(earliest_effect_ns(&book.catalogue, cause))..=u64::MAX;
    let mut affected = Vec::new();
    for rule in book.following(entry.condition) {
        for condition in &rule.effect {
            affected.extend(index.effects(world, &rule.path, *condition, entry, time.clone()));
        }
    }
    for rule in book.ended_by(entry.condition) {
        for condition in &rule.effect {
            affected.extend(index.effects(world, &rule.path, *condition, entry, time.clone()));
        }
    }
    affected
}

/// Whether the effect looks as the mechanism would have left it.
pub(super) fn fits(
    book: &RuleBook,
    rule: &Rule,
    effect: &Arc<Episode>,
    cause: Option<&Arc<Episode>>,
) -> bool {
    let when = rule.when.as_ref();
    when.is_none_or(|when| book.catalogue.holds(when, effect, cause))
}

fn weight(
    book: &RuleBook,
    world: &World,
    rule: &Rule,
    index: &Index,
    cause: &Episode,
    effect: &Episode,
) -> f64 {
    let catalogue = &book.catalogue;
    let is_process = rule.path != Path::Process || is_same_process(&cause.subject, &effect.subject);
    // Who ends again has been up again.
    let ends_again = rule.joins && rule.path == Path::Same && ends_process(catalogue, cause);
    let is_over = !ends_again && is_over(catalogue, cause, effect);
    let is_told_by_call = rule.unread && exchanges(world, effect, cause);
    if cause.id == effect.id
        || !is_process
        || is_told_by_call
        || is_over
        || !precedes(catalogue, rule, cause, effect)
    {
        return 0.0;
    }
    let likely = rule.prior
        * lag_likelihood(catalogue, rule, cause, effect)
        * not_taken_back(world, index, cause, effect)
        * not_renewed(world, index, rule, cause, effect);
    if rule.joins {
        // Company is neither weakened by distance nor by being many.
        return likely;
    }
    likely
        * freshness(rule, cause, effect)
        * proximity(&cause.subject, &effect.subject)
        * share_gone(&rule.path, cause)
}

/// Whether it is seen what the effect's subject asks the cause's, and is answered.
fn exchanges(world: &World, effect: &Episode, cause: &Episode) -> bool {
    let asked = cause.subject.key();
    let from = effect.subject.key();
    world.relations.from(EXCHANGES, &from).any(|known| known == asked)
}

/// How probable it is that what was done is at fault, before anything is known of its effects.
fn suspicion(
    row: &Row,
    catalogue: &Catalogue,
    index: &Index,
    cause: &Episode,
    effect: &Episode,
) -> Suspicion {
    let parts = match cause.facts.get(PARTS) {
        Some(Fact::Number(parts)) => *parts,
        Some(Fact::Text(_)) | None => 1.0,
    };
    Suspicion {
        suspect: Suspect::who_did(cause),
        prior: row.at_fault * novelty(cause) * rarity(catalogue, index, cause, effect),
        parts,
    }
}

fn novelty(cause: &Episode) -> f64 {
    if cause.facts.contains_key(ROLLBACK) {
        RAN_BEFORE
    } else {
        1.0
    }
}

/// How much of what was changed was still there when the effect began: less and less since a change of the same kind has brought
/// back what was there before.
fn not_taken_back(world: &World, index: &Index, cause: &Episode, effect: &Episode) -> f64 {
    let Some(entry) = index.entry(cause.id).filter(|_| cause.start_ns < effect.start_ns) else {
        return 1.0;
    };
    let since = cause.start_ns + 1..=effect.start_ns;
    let later = index.about(entry.condition, &entry.subject, since);
    let mut rollbacks = later.filter_map(|id| {
        let change = world.episodes.get(&id)?;
        change.facts.contains_key(ROLLBACK).then_some(change.start_ns)
    });
    rollbacks
        .next()
        .map_or(1.0, |since_ns| not_replaced(since_ns, effect.start_ns))
}

/// How much of what ran, or held, when the cause began still did when the effect began: less and less since the first of what ends
/// it for the rule.
fn not_renewed(world: &World, index: &Index, rule: &Rule, cause: &Episode, effect: &Episode) -> f64 {
    let Some(entry) = index.entry(cause.id).filter(|_| cause.start_ns < effect.start_ns) else {
        return 1.0;
    };
    let since = cause.start_ns + 1..=effect.start_ns;
    let ends = rule.until.iter();
    let ends = ends.flat_map(|condition| index.about(*condition, &entry.subject, since.clone()));
    let ends = ends.filter_map(|id| Some(world.episodes.get(&id)?.start_ns));
    ends.min()
        .map_or(1.0, |since_ns| not_replaced(since_ns, effect.start_ns))
}

/// How many of the pods that there were before a change (UNIX ns) are still there at some time after it.
fn not_replaced(changed_ns: u64, at_ns: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of half a minute")]
    let replaced = at_ns.saturating_sub(changed_ns) as f64 / REPLACED_NS as f64;
    (1.0 - replaced).max(0.0)
}

/// Of a service with several instances, the end of one costs its callers only that one's share.
fn share_gone(path: &Path, cause: &Episode) -> f64 {
    let others = match cause.facts.get(OTHERS_LISTENING) {
        Some(Fact::Number(others)) if path.is_call() => *others,
        _ => 0.0,
    };
    1.0 / (1.0 + others)
}

fn proximity(cause: &Entity, effect: &Entity) -> f64 {
    match (&cause.pod, &effect.pod) {
        (Some(one), Some(other)) if one.uid != other.uid && cause.workload == effect.workload => OTHER_POD,
        _ => 1.0,
    }
}

/// What happens all the time is seldom at fault: the suspicion of a change falls with the logarithm of how often it had happened
/// by the time of the effect.
fn rarity(catalogue: &Catalogue, index: &Index, cause: &Episode, effect: &Episode) -> f64 {
    let Some(entry) = index.entry(cause.id).filter(|_| catalogue.is_point(cause)) else {
        return 1.0;
    };
    let lately = effect.start_ns.saturating_sub(AGAIN_NS)..=effect.start_ns;
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let occurrences = index
        .about(entry.condition, &entry.subject, lately)
        .count()
        .max(1) as f64;
    1.0 / (1.0 + occurrences.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_of_several_instances_explains_its_share_of_what_callers_suffer() {
        let ended = |others: f64| Episode {
            facts: [(OTHERS_LISTENING.to_owned(), Fact::Number(others))].into(),
            ..Episode::default()
        };
        let share = |path, others| share_gone(&Path::parse(path).unwrap(), &ended(others));
        assert!(
            (share("effect -calls-> cause", 0.0) - 1.0).abs() < 1e-9,
            "nobody is left"
        );
        assert!((share("effect -calls-> cause", 1.0) - 0.5).abs() < 1e-9);
        assert!(
            (share("effect =process= cause", 3.0) - 1.0).abs() < 1e-9,
            "a process has no other instance"
        );
    }
}
