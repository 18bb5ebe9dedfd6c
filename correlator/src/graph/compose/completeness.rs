//! Where Tapio was blind while an incident happened.

use std::collections::BTreeSet;

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
        let condition = view.book.catalogue.condition(&episode.condition);
        let rules = condition
            .into_iter()
            .flat_map(|condition| view.book.explaining(condition));
        let causes = rules
            .flat_map(|rule| &rule.cause)
            .filter(|cause| unseen::applies(view.book, **cause, episode));
        let observers: BTreeSet<_> = causes
            .filter_map(|cause| view.book.catalogue.row(*cause))
            .map(|row| row.observer.as_str())
            .collect();
        for observer in observers {
            let unseen = coverage.blindness(observer, &episode.subject, episode.start_ns);
            least = least.min(1.0 - unseen);
            blind.extend(coverage.complaint(observer, &episode.subject, episode.start_ns));
        }
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
