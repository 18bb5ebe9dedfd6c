//! When the graph looks, and that what it keeps is what it would find anew.

mod incremental;

use bus_schema::episode::Episode;
use bus_schema::{Entity, EventId, Severity};

use super::*;

const START_NS: u64 = 1_700_000_000_000_000_000;

fn refused(number: u128, severity: Severity) -> Episode {
    Episode {
        id: EventId(number),
        revision: 1,
        condition: "connect_refused".to_owned(),
        severity,
        subject: Entity::of_node(&number.to_string()),
        start_ns: START_NS,
        last_ns: START_NS,
        count: 1,
        ..Episode::default()
    }
}

fn told(episodes: Vec<Episode>, after_ns: u64) -> Report {
    Report {
        episodes,
        watermark_ns: START_NS + after_ns,
        received_ns: START_NS + after_ns,
        ..Report::default()
    }
}

/// What follows from a report, all steps of its look taken together.
fn all_of(graph: &mut Graph, report: &Report) -> Vec<Incident> {
    let mut revisions = graph.apply(report);
    while graph.has_more() {
        revisions.extend(graph.resume());
    }
    revisions
}

/// Incidents that an error opens beside so many warnings: at once, and at the heartbeat a second later.
fn opened_beside(warnings: u128) -> (usize, usize) {
    let mut graph = Graph::new(Arc::new(RuleBook::embedded().unwrap()), State::default());
    let warnings = (1..=warnings).map(|number| refused(number, Severity::Warning));
    assert_eq!(all_of(&mut graph, &told(warnings.collect(), 1)), []);
    let error = vec![refused(9_999, Severity::Error)];
    let at_once = all_of(&mut graph, &told(error, 2)).len();
    (
        at_once,
        all_of(&mut graph, &told(Vec::new(), 1_000_000_000)).len(),
    )
}

#[test]
fn a_small_world_is_looked_at_at_once_and_a_large_one_a_little_later() {
    assert_eq!(opened_beside(100), (1, 0));
    assert_eq!(opened_beside(2_000), (0, 1));
}
