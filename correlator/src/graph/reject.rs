//! What else could have been: causes that were considered, and the observation that speaks against each.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::Entity;
use bus_schema::episode::Episode;
use bus_schema::incident::Rejected;

use super::View;
use super::compose::Told;
use super::forest::Tree;
use super::links;
use super::unseen::{self, LEAST_SPONTANEOUS, suspect};
use crate::condition::{Condition, Row};
use crate::rules::Rule;

/// More than these nobody reads at three in the morning.
const MOST_SHOWN: usize = 6;
/// A hypothesis with less than this left is excluded, not only less likely.
const EXCLUDED_BELOW: f64 = 0.05;

/// Hypotheses about the steps of the tree that did not win, most plausible mechanism first.
pub(super) fn rejected(view: View<'_>, tree: &Tree, told: &Told) -> Vec<Rejected> {
    let mut found: BTreeMap<String, (f64, Rejected)> = BTreeMap::new();
    let shown = told
        .members()
        .filter(|id| *id != tree.root && view.forest.absorbed_by(*id).is_none());
    for episode in shown.filter_map(|id| view.world.episodes.get(&id)) {
        for (prior, hypothesis) in outcompeted(view, tree, episode)
            .into_iter()
            .chain(missed(view, tree, episode))
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
fn outcompeted(view: View<'_>, tree: &Tree, effect: &Arc<Episode>) -> Vec<(f64, Rejected)> {
    let node = view.forest.node(effect.id);
    let links = node.into_iter().flat_map(|node| &node.links);
    let others = links.filter(|link| !link.rule.joins && !tree.members.contains(&link.cause));
    let rejected = others.filter_map(|link| {
        let share = link.share;
        let cause = view.world.episodes.get(&link.cause)?;
        let row = view.book.catalogue.row_of(cause)?;
        let because = format!(
            "another cause explains more; {} fits with {:.0} %",
            link.rule.mechanism,
            share * 100.0
        );
        let hypothesis = view.book.catalogue.render(&row.hypothesis, cause);
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
fn missed(view: View<'_>, tree: &Tree, effect: &Arc<Episode>) -> Vec<(f64, Rejected)> {
    let mut rejected = Vec::new();
    let Some(node) = view.forest.node(effect.id) else {
        return rejected;
    };
    let View {
        book, world, index, ..
    } = view;
    for unseen in unseen::causes(book, world, index, effect, &node.links) {
        let (rule, cause) = (unseen.rule, unseen.cause);
        // What hardly ever happens by itself would be a step on the way, not another beginning.
        let row = view.book.catalogue.row(cause);
        let Some(entry) = row.filter(|row| row.spontaneous >= LEAST_SPONTANEOUS) else {
            continue;
        };
        let Some(subject) = suspect(rule, effect) else {
            continue;
        };
        if already_in(view, tree, cause, &subject.key()) {
            continue;
        }
        let place = subject.key();
        let missed = node
            .missed
            .iter()
            .find(|missed| missed.observer == unseen.observer && missed.place == place);
        let probability = missed.map_or(0.0, |missed| missed.share);
        let because = evidence_against(view, rule, (cause, entry), &subject, effect);
        let hypothesis = view
            .book
            .catalogue
            .render_subject(&entry.hypothesis, &subject.label());
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

/// The tree itself holds such a cause: it is no rival.
fn already_in(view: View<'_>, tree: &Tree, cause: Condition, subject: &str) -> bool {
    let mut same = view.index.about(cause, subject, 0..=u64::MAX);
    same.any(|id| tree.members.contains(&id))
}

fn evidence_against(
    view: View<'_>,
    rule: &Rule,
    (cause, entry): (Condition, &Row),
    subject: &Entity,
    effect: &Episode,
) -> String {
    let View { book, world, .. } = view;
    if let Some(complaint) = world
        .coverage
        .complaint(&entry.observer, subject, effect.start_ns)
    {
        return format!("not excluded: {complaint}");
    }
    if let Some(seconds) = seconds_since_over(view, cause, subject, effect) {
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
fn seconds_since_over(view: View<'_>, cause: Condition, subject: &Entity, effect: &Episode) -> Option<f64> {
    let key = subject.key();
    let same = view.index.about(cause, &key, 0..=effect.start_ns);
    let ends = same
        .filter_map(|id| view.world.episodes.get(&id))
        .filter(|episode| links::is_over(&view.book.catalogue, episode, effect))
        .filter_map(|episode| episode.over_ns);
    let last_ns = ends.max()?;
    #[expect(clippy::cast_precision_loss, reason = "seconds for a sentence")]
    let seconds = effect.start_ns.saturating_sub(last_ns) as f64 / 1e9;
    Some(seconds)
}
