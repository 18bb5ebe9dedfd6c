//! The chain as one sentence: what began it, then each depth of effects with its own connective.

use std::collections::BTreeMap;

use bus_schema::EventId;
use bus_schema::incident::{NOT_OBSERVED, Role, Step};

use super::View;
use super::compose::LEAST_TO_ACT;

/// Between the beginning and its first, second, third … effects; the last one is always `resulting in`.
const CONNECTIVES: [&str; 3] = [" caused ", ", triggering ", ", leading to "];
const LAST_CONNECTIVE: &str = ", resulting in ";

/// One sentence over the steps, root cause first. A root that is more likely wrong than right is not told as a fact.
pub(super) fn sentence(view: View<'_>, steps: &[Step], confidence: f64) -> String {
    let Some(root) = steps.iter().find(|step| step.role == Role::RootCause) else {
        return String::new();
    };
    let mut sentence = beginning(view, root);
    let company = company(view, steps);
    if !company.is_empty() {
        sentence.push_str(", together with ");
        sentence.push_str(&company.join(" and "));
    }
    let levels = levels(view, steps);
    for (place, level) in levels.iter().enumerate() {
        let is_last = place + 1 == levels.len() && place > 0;
        let connective = if is_last && place >= 2 {
            LAST_CONNECTIVE
        } else {
            CONNECTIVES.get(place).copied().unwrap_or(", then ")
        };
        if place == 0 && confidence < LEAST_TO_ACT {
            sentence.push_str(" probably");
        }
        sentence.push_str(connective);
        sentence.push_str(&level.join(" and "));
    }
    sentence.push('.');
    sentence
}

fn beginning(view: View<'_>, root: &Step) -> String {
    if root.condition != NOT_OBSERVED {
        return phrase(view, root.id, true);
    }
    let mut letters = root.text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// What happened beside the beginning, by the same cause that nobody saw.
fn company(view: View<'_>, steps: &[Step]) -> Vec<String> {
    /// More would bury the sentence; the steps name them all.
    const MOST: usize = 3;
    let beside = |step: &&Step| step.depth == 0 && step.role != Role::RootCause;
    let mut company: Vec<_> = steps
        .iter()
        .filter(beside)
        .map(|step| phrase(view, step.id, false))
        .collect();
    company.dedup();
    company.truncate(MOST);
    company
}

/// Phrases by depth; what would be said several times is said where it was worst.
fn levels(view: View<'_>, steps: &[Step]) -> Vec<Vec<String>> {
    let deepest = steps.iter().map(|step| step.depth).max().unwrap_or(0);
    let mut worst: BTreeMap<String, &Step> = BTreeMap::new();
    for step in steps {
        let known = worst.entry(phrase(view, step.id, false)).or_insert(step);
        if (step.severity, step.count) > (known.severity, known.count) {
            *known = step;
        }
    }
    let mut levels = Vec::new();
    for depth in 1..=deepest {
        let mut level = Vec::new();
        for step in steps.iter().filter(|step| step.depth == depth) {
            let phrase = phrase(view, step.id, false);
            if worst.get(&phrase).is_some_and(|worst| worst.id == step.id) {
                level.push((is_told_last(view, step.id), phrase));
            }
        }
        level.sort_by_key(|(is_last, _)| *is_last);
        let level: Vec<_> = level.into_iter().map(|(_, phrase)| phrase).collect();
        if !level.is_empty() {
            levels.push(level);
        }
    }
    levels
}

fn is_told_last(view: View<'_>, id: EventId) -> bool {
    let row = view
        .world
        .episodes
        .get(&id)
        .and_then(|episode| view.book.catalogue.row_of(episode));
    row.is_some_and(|row| row.told_last)
}

fn phrase(view: View<'_>, id: EventId, is_root: bool) -> String {
    let Some(episode) = view.world.episodes.get(&id) else {
        return String::new();
    };
    let Some(row) = view.book.catalogue.row_of(episode) else {
        return String::new();
    };
    let template = row
        .root_phrase
        .as_ref()
        .filter(|_| is_root)
        .unwrap_or(&row.phrase);
    view.book.catalogue.render(template, episode)
}
