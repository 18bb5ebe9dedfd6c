//! The same story on two nodes, whose clocks never agree.

use bus_schema::{Entity, Incident};

use super::log::{Log, leak};
use super::replay::conditions;
use super::{MILLI, SECOND};

/// The cache's node has a clock that is `ahead` of that of everybody else.
fn with_a_clock_ahead(ahead: u64) -> Log {
    let mut log = leak();
    let is_cache = |entity: &Entity| {
        let workload = entity.workload.as_ref();
        workload.is_some_and(|workload| workload.name == "cache")
    };
    for event in &mut log.0 {
        if is_cache(&event.subject) {
            event.time_ns += ahead;
        }
        for entity in [Some(&mut event.subject), event.object.as_mut()]
            .into_iter()
            .flatten()
        {
            if is_cache(entity) {
                entity.node = Some("n2".into());
            }
        }
    }
    log
}

fn root(incident: &Incident) -> (&str, &str) {
    let root = incident.root_cause().unwrap();
    (&root.label, &root.condition)
}

#[test]
fn a_cause_may_seem_to_come_after_its_effect_by_as_much_as_clocks_differ() {
    let incidents = with_a_clock_ahead(80 * MILLI).replay();
    let last = incidents.last().unwrap();
    assert_eq!(root(last), ("cache", "executable_changed"));
    let step = |condition| {
        last.steps
            .iter()
            .find(|step| step.condition == condition)
            .unwrap()
    };
    let (kill, refused) = (step("oom_kill"), step("connect_refused"));
    assert!(kill.start > refused.start, "the clock is ahead");
    assert_eq!(refused.caused_by.first().unwrap().step, kill.id);
    assert!(last.confidence > 0.8, "{}", last.confidence);
    assert!(
        incidents.iter().all(|incident| incident.id == last.id),
        "one fault, one incident"
    );
}

#[test]
fn what_comes_after_by_more_is_no_cause() {
    let incidents = with_a_clock_ahead(10 * SECOND).replay();
    let of_the_gateway = incidents
        .iter()
        .rfind(|incident| conditions(incident).contains(&("gateway", "connect_refused")))
        .unwrap();
    assert_eq!(root(of_the_gateway), ("cache", "not_observed"));
}
