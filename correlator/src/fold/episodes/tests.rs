//! What is one episode, and when it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use bus_schema::entity::Process;
use bus_schema::{Entity, EventId, Severity, TraceContext};

use super::super::sighting::Facts;
use super::*;
use crate::condition::Traits;
use crate::condition::row::WINDOW_NS;
use crate::rules::RuleBook;

fn catalogue() -> std::sync::Arc<Catalogue> {
    RuleBook::embedded().unwrap().catalogue
}

fn traits(condition: &str) -> Traits {
    catalogue().traits(Condition::named(condition)).unwrap()
}

fn refused(time_ms: u64) -> Sighting {
    Sighting {
        condition: Condition::named("connect_refused"),
        traits: traits("connect_refused"),
        severity: Severity::Warning,
        subject: Entity::of_node("caller"),
        object: Some(Entity::of_node("callee")),
        time_ns: time_ms * 1_000_000,
        certain_until_ns: time_ms * 1_000_000,
        count: 1,
        intensity: 0.0,
        baseline: 0.0,
        surprise: 0.0,
        is_starting: None,
        facts: Facts::default(),
        evidence: None,
        exemplar: None,
    }
}

/// Start, last, count and end in seconds of what is published after failures at these milliseconds, with a healthy
/// window up to that second.
fn told(failures_ms: &[u64], healthy_until: u64) -> Vec<(f64, f64, u64, Option<u64>)> {
    let mut episodes = Episodes::default();
    let ends = Ends {
        subject: Entity::of_node("caller").key().into(),
        object: Entity::of_node("callee").key().into(),
    };
    for failure in failures_ms {
        episodes.merge(refused(*failure));
    }
    episodes.publish_urgent(&mut Vec::new());
    episodes.heal(
        Condition::named("connect_refused"),
        &ends,
        healthy_until * WINDOW_NS,
    );
    let mut out = Vec::new();
    episodes.publish_urgent(&mut out);
    episodes.publish_due(&catalogue(), healthy_until * WINDOW_NS, &mut out);
    let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
    out.iter()
        .map(|told| {
            let over = told.over_ns.map(|over_ns| over_ns / WINDOW_NS);
            (seconds(told.start_ns), seconds(told.last_ns), told.count, over)
        })
        .collect()
}

#[test]
fn the_first_five_traces_in_which_it_can_be_seen_are_told_each_once() {
    let trace = |number: u64| TraceContext {
        trace_id: format!("{number:032x}"),
        span_id: format!("{number:016x}"),
    };
    let mut episodes = Episodes::default();
    for number in [1, 1, 2, 3, 4, 2, 5, 6] {
        episodes.merge(Sighting {
            exemplar: Some(trace(number)),
            ..refused(number)
        });
    }
    episodes.merge(refused(9));
    let mut out = Vec::new();
    episodes.publish_urgent(&mut out);
    let told = &out.last().unwrap().exemplars;
    assert_eq!(*told, [1, 2, 3, 4, 5].map(trace));
}

#[test]
fn processes_of_a_container_killed_at_once_are_told_apart() {
    let killed = |pid| {
        let process = Process {
            pid,
            ..Process::default()
        };
        Sighting {
            condition: Condition::named("oom_kill"),
            traits: traits("oom_kill"),
            subject: Entity {
                process: Some(process),
                ..Entity::of_node("n")
            },
            object: None,
            ..refused(1)
        }
    };
    let (mut episodes, mut out) = (Episodes::default(), Vec::new());
    episodes.merge_all([killed(1), killed(2), killed(2)]);
    episodes.publish_urgent(&mut out);
    let ids: BTreeSet<EventId> = out.iter().map(|episode| episode.id).collect();
    assert_eq!((out.len(), ids.len()), (2, 2));
}

#[test]
fn failures_on_both_sides_of_a_healthy_window_are_two_episodes() {
    let both = [(0.3, 0.5, 2, Some(2)), (2.25, 2.5, 2, None)];
    assert_eq!(told(&[300, 500, 2250, 2500], 2), both);
}

#[test]
fn failures_around_a_window_that_was_not_healthy_are_one_episode() {
    let healthy_before = told(&[1300, 3250], 1);
    assert_eq!(healthy_before, [], "nothing new: it goes on");
    assert_eq!(told(&[300, 500], 2), [(0.3, 0.5, 2, Some(2))], "it is over");
}

#[test]
fn what_lasts_is_an_error_unless_it_is_no_harm_by_itself() {
    let severity_of = |severity| {
        let mut episodes = Episodes::default();
        for time_ms in [0, 1000, 2000] {
            episodes.merge(Sighting {
                severity,
                surprise: 50.0,
                ..refused(time_ms)
            });
        }
        let mut out = Vec::new();
        episodes.publish_urgent(&mut out);
        out.last().map(|told: &Episode| told.severity)
    };
    assert_eq!(severity_of(Severity::Warning), Some(Severity::Error));
    assert_eq!(severity_of(Severity::Notice), Some(Severity::Notice));
}
