//! Where Tapio was blind while an incident happened.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::episode::Episode;
use bus_schema::incident::Completeness;

use super::super::View;
use super::super::unseen;
use super::steps::Told;

/// Looks at every observer that a rule asks for which could explain a step.
pub(super) fn of(view: View<'_>, told: &Told) -> Completeness {
    let coverage = &view.world.coverage;
    let (mut blind, mut least) = (BTreeSet::new(), 1.0_f64);
    let mut window = (u64::MAX, 0);
    for episode in told.members().filter_map(|id| view.world.episodes.get(&id)) {
        window = (window.0.min(episode.start_ns), window.1.max(episode.last_ns));
        let asked = asked(view, episode);
        for observer in asked.keys() {
            blind.extend(coverage.complaint(observer, &episode.subject, episode.start_ns));
        }
        least = least.min(seen(view, episode, &asked));
    }
    let lost_events = coverage.lost_between(window.0, window.1);
    let score = if blind.is_empty() && lost_events == 0 {
        1.0
    } else {
        least
    };
    Completeness {
        score,
        lost_events,
        blind: blind.into_iter().collect(),
    }
}

/// Who is asked for causes of an episode: by observer, the probability that the likeliest of those that it sees brings it about.
fn asked<'a>(view: View<'a>, episode: &Episode) -> BTreeMap<&'a str, f64> {
    let condition = view.book.catalogue.condition(&episode.condition);
    let rules = condition
        .into_iter()
        .flat_map(|condition| view.book.explaining(condition));
    let mut asked = BTreeMap::new();
    for rule in rules {
        let causes = rule
            .cause
            .iter()
            .filter(|cause| unseen::applies(view.book, **cause, episode));
        for row in causes.filter_map(|cause| view.book.catalogue.row(*cause)) {
            let likeliest = asked.entry(row.observer.as_str()).or_insert(0.0_f64);
            *likeliest = likeliest.max(unseen::weight(rule, row));
        }
    }
    asked
}

/// How much of what may have caused an episode would have been seen: each observer counts as much as its likeliest cause.
fn seen(view: View<'_>, episode: &Episode, asked: &BTreeMap<&str, f64>) -> f64 {
    let coverage = &view.world.coverage;
    let missed = |(observer, likely): (&&str, &f64)| {
        likely * coverage.blindness(observer, &episode.subject, episode.start_ns)
    };
    let all: f64 = asked.values().sum();
    if all > 0.0 {
        1.0 - asked.iter().map(missed).sum::<f64>() / all
    } else {
        1.0
    }
}
