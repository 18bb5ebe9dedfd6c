//! What else could have been: causes that were considered, and the observation that speaks against each.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::episode::Episode;
use bus_schema::incident::Rejected;

use super::compose::Tree;
use super::links;
use super::posterior::{Forest, Node, unseen_causes};
use super::world::World;
use crate::condition::{Condition, Entry};
use crate::rules::{Relation, Rule, RuleBook};

/// More than these nobody reads at three in the morning.
const MOST_SHOWN: usize = 6;
/// Only what may begin a story is a rival to the beginning that was found.
const LEAST_SPONTANEOUS: f64 = 0.1;
/// A hypothesis with less than this left is excluded, not only less likely.
const EXCLUDED_BELOW: f64 = 0.05;

/// Hypotheses about the steps of the tree that did not win, most plausible mechanism first.
pub(super) fn rejected(book: &RuleBook, world: &World, forest: &Forest<'_>, tree: &Tree) -> Vec<Rejected> {
    let mut found: BTreeMap<String, (f64, Rejected)> = BTreeMap::new();
    let shown = tree
        .members
        .iter()
        .filter(|id| **id != tree.root && forest.absorbed_by(**id).is_none());
    for node in shown.filter_map(|id| forest.nodes.get(id)) {
        for (prior, hypothesis) in outcompeted(book, forest, tree, node)
            .into_iter()
            .chain(unseen(book, world, tree, forest, node))
        {
            let known = found
                .entry(hypothesis.hypothesis.clone())
                .or_insert_with(|| (prior, hypothesis.clone()));
            if known.1.probability < hypothesis.probability {
                *known = (prior, hypothesis);
            }
        }
    }
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_by(|one, other| {
        other
            .0
            .total_cmp(&one.0)
            .then_with(|| one.1.hypothesis.cmp(&other.1.hypothesis))
    });
    all.into_iter()
        .take(MOST_SHOWN)
        .map(|(_, rejected)| rejected)
        .collect()
}

/// Causes that were seen, outside of this tree, and explain less.
fn outcompeted(book: &RuleBook, forest: &Forest<'_>, tree: &Tree, node: &Node<'_>) -> Vec<(f64, Rejected)> {
    let others = forest
        .shares(node.episode.id)
        .filter(|(link, _)| !tree.members.contains(&link.cause.id));
    let rejected = others.filter_map(|(link, share)| {
        let entry = book.catalogue.entry(Condition::parse(&link.cause.condition)?);
        let because = format!(
            "another cause explains more; {} fits with {:.0} %",
            link.rule.mechanism,
            share * 100.0
        );
        let hypothesis = book.catalogue.render(&entry.hypothesis, link.cause);
        Some((
            link.rule.prior,
            Rejected {
                hypothesis,
                because,
                excluded: share < EXCLUDED_BELOW,
                probability: share,
            },
        ))
    });
    rejected.collect()
}

/// Causes that a rule knows and nobody saw.
fn unseen(
    book: &RuleBook,
    world: &World,
    tree: &Tree,
    forest: &Forest<'_>,
    node: &Node<'_>,
) -> Vec<(f64, Rejected)> {
    let mut rejected = Vec::new();
    for (rule, cause, weight) in unseen_causes(book, world, node.episode, &node.links) {
        let entry = book.catalogue.entry(cause);
        // What hardly ever happens by itself would be a step on the way, not another beginning.
        if entry.spontaneous < LEAST_SPONTANEOUS {
            continue;
        }
        let Some(subject) = suspect(rule, cause, node.episode) else {
            continue;
        };
        if already_in(forest, tree, cause, &subject.key()) {
            continue;
        }
        let probability = node.share_of_unseen(weight);
        let because = evidence_against(book, world, rule, (cause, entry), &subject, node.episode);
        let hypothesis = book.catalogue.render_subject(&entry.hypothesis, &subject.label());
        rejected.push((
            rule.prior,
            Rejected {
                hypothesis,
                because,
                excluded: probability < EXCLUDED_BELOW,
                probability,
            },
        ));
    }
    rejected
}

/// On whom the cause would have been seen.
fn suspect(rule: &Rule, cause: Condition, effect: &Episode) -> Option<Entity> {
    match rule.relation {
        Relation::Node => effect.subject.node.as_deref().map(Entity::of_node),
        Relation::Callee => effect.object.clone(),
        Relation::CalleeOrSame if cause == Condition::Http5xx => effect.object.clone(),
        Relation::Same | Relation::Process | Relation::CalleeOrSame => Some(effect.subject.clone()),
    }
}

/// The tree itself holds such a cause: it is no rival.
fn already_in(forest: &Forest<'_>, tree: &Tree, cause: Condition, subject: &str) -> bool {
    let episodes = tree
        .members
        .iter()
        .filter_map(|id| forest.nodes.get(id))
        .map(|node| node.episode);
    let mut same = episodes.filter(|episode| episode.condition == cause.token());
    same.any(|episode| episode.subject.key() == subject)
}

fn evidence_against(
    book: &RuleBook,
    world: &World,
    rule: &Rule,
    (cause, entry): (Condition, &Entry),
    subject: &Entity,
    effect: &Episode,
) -> String {
    if let Some(complaint) = world
        .coverage
        .complaint(&entry.observer, subject, effect.start_ns)
    {
        return format!("not excluded: {complaint}");
    }
    if let Some(seconds) = seconds_since_over(world, cause, subject, effect) {
        return format!("over {seconds:.1} s before");
    }
    let node = effect.subject.node.as_deref().unwrap_or_default();
    let reading = entry
        .gauge
        .as_deref()
        .and_then(|gauge| world.reading(node, gauge));
    if let Some(reading) = reading.filter(|reading| reading.value < entry.gauge_low) {
        return book.catalogue.render_value(&entry.gauge_text, reading.value);
    }
    let watched_ns = world
        .coverage
        .watched_ns(&entry.observer, subject, effect.start_ns);
    #[expect(clippy::cast_precision_loss, reason = "seconds for a sentence")]
    let watched_seconds = watched_ns as f64 / 1e9;
    format!("none in {}", span(rule.longest_seconds.min(watched_seconds)))
}

/// `40 s`, `15 min`.
fn span(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", (seconds / 60.0).floor())
    }
}

/// Such a thing did happen there, but had ended: how long before the effect began.
fn seconds_since_over(world: &World, cause: Condition, subject: &Entity, effect: &Episode) -> Option<f64> {
    let same =
        |episode: &&Episode| episode.condition == cause.token() && episode.subject.key() == subject.key();
    let ends = world
        .episodes
        .values()
        .filter(same)
        .filter(|episode| links::is_over(episode, effect))
        .filter_map(|episode| episode.over_ns);
    let last_ns = ends.max()?;
    #[expect(clippy::cast_precision_loss, reason = "seconds for a sentence")]
    let seconds = (effect.start_ns - last_ns) as f64 / 1e9;
    Some(seconds)
}
