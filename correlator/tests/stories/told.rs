//! What holds for every incident, whatever it is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus_schema::event::Body;
use bus_schema::event::network::Role;
use bus_schema::event::node::{Capability, Coverage};
use bus_schema::event::status::HttpStats;
use bus_schema::{Entity, Severity};
use correlator::fold::Folder;
use correlator::graph::Graph;
use correlator::rules::RuleBook;

use super::log::{Log, leak, service};
use super::replay::conditions;
use super::{MILLI, SECOND};

#[test]
fn a_restart_at_any_message_changes_nothing() {
    let undisturbed = leak().replay();
    let book = Arc::new(RuleBook::embedded().unwrap());
    let restarted = leak().replay_from(|folder, graph| {
        let folded = rmp_serde::from_slice(&rmp_serde::to_vec_named(folder.state()).unwrap()).unwrap();
        let state = rmp_serde::from_slice(&rmp_serde::to_vec_named(graph.state()).unwrap()).unwrap();
        (
            Folder::restore(Arc::clone(&book.catalogue), folded),
            Graph::new(Arc::clone(&book), state),
        )
    });
    assert_eq!(
        serde_json::to_string(&restarted).unwrap(),
        serde_json::to_string(&undisturbed).unwrap()
    );
}

/// What an observer of the node says of its only hook.
fn says(log: &mut Log, observer: &str, coverage: Coverage, reason: &str) {
    let capability = Capability {
        observer: observer.into(),
        hook: "exec".into(),
        coverage,
        reason: reason.into(),
        ..Capability::default()
    };
    let node = Entity::of_node("n1");
    log.add(3, Severity::Warning, node, None, Body::Capability(capability));
}

#[test]
fn where_an_observer_is_missing_the_incident_says_so_and_is_less_sure() {
    let seeing = leak().replay().last().unwrap().confidence;
    let mut log = leak();
    says(&mut log, "process-signals", Coverage::Missing, "no BTF");
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert!(last.confidence < seeing, "{} against {seeing}", last.confidence);
    assert!(
        last.completeness.score < 1.0 && last.completeness.blind.iter().any(|text| text.contains("no BTF")),
        "{:?}",
        last.completeness
    );
}

/// Completeness and confidence of the leak where these observers are missing, and all others see.
fn without(missing: &[&str]) -> (f64, f64) {
    let mut log = leak();
    let book = RuleBook::embedded().unwrap();
    let observers: BTreeSet<_> = book
        .catalogue
        .rows()
        .map(|(_, row)| row.observer.as_str())
        .collect();
    for observer in observers {
        let coverage = if missing.contains(&observer) {
            Coverage::Missing
        } else {
            Coverage::Full
        };
        says(&mut log, observer, coverage, "not there");
    }
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    (last.completeness.score, last.confidence)
}

#[test]
fn an_observer_that_is_missing_takes_as_much_as_it_would_have_told_of() {
    let (whole, sure) = without(&[]);
    let (without_lookups, less_sure) = without(&["dns"]);
    let (without_ends, _) = without(&["dns", "process-signals"]);
    assert!((whole - 1.0).abs() < 1e-9 && less_sure <= sure, "{whole}");
    assert!(
        without_ends < without_lookups && without_lookups < whole,
        "{without_ends} {without_lookups}"
    );
    // failed lookups are one of many reasons for a connection that fails
    assert!(without_lookups > 0.5, "{without_lookups}");
}

#[test]
fn every_revision_is_what_the_published_schema_describes() {
    let schema = serde_json::from_str(include_str!("../../../bus/schema/incident.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut incidents = leak().replay();
    assert!(!incidents.is_empty());
    for incident in &incidents {
        let json = serde_json::to_value(incident).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&json)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    incidents[0].confidence = 1.5;
    assert!(
        !validator.is_valid(&serde_json::to_value(&incidents[0]).unwrap()),
        "a probability above 1"
    );
}

#[test]
fn an_error_that_is_told_by_a_warning_is_still_an_error() {
    let mut log = Log::default();
    log.healthy(0, 10);
    // The gateway is seen to answer with one error, its users see many.
    log.error(10 * SECOND, Role::Server);
    (0..30).for_each(|tenth| log.error(10 * SECOND + MILLI + tenth * 100 * MILLI, Role::Client));
    for second in 11..=13 {
        let asking = HttpStats {
            role: Role::Client,
            by_class: [0, 10, 0, 0, 90],
            ..HttpStats::default()
        };
        let users = service("users");
        let body = Body::HttpStats(asking);
        log.add(
            second * SECOND,
            Severity::Info,
            users,
            Some(service("gateway")),
            body,
        );
    }
    let incidents = log.replay();
    let first = incidents.first().unwrap();
    assert_eq!(
        conditions(first),
        [("gateway", "not_observed"), ("gateway", "http_5xx")]
    );
    assert_eq!(first.steps[1].severity, Severity::Warning);
    assert_eq!(first.severity, Severity::Error);
    assert!(first.confidence > 0.0, "{}", first.confidence);
    assert!(first.first_symptom_at.as_ns() >= (1_700_000_000 + 10) * SECOND);
}
