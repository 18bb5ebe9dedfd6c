//! Truths and hand-written incidents against the rows that they give.

use std::collections::BTreeMap;

use bus_schema::entity::Workload;
use bus_schema::incident::{Completeness, Impact, Incident, Recommendation, Role, State, Step};
use bus_schema::{Entity, EventId, Severity, Timestamp};

use super::*;
use crate::campaign::kills::{Kill, without_kills};

const SECOND: u64 = 1_000_000_000;
/// When the fault of these tests happens.
pub(super) const AT: u64 = 1_000 * SECOND;

fn step(second: u64, kind: &str, name: &str, condition: &str) -> Step {
    let workload = Workload {
        kind: kind.into(),
        namespace: "store".into(),
        name: name.into(),
    };
    Step {
        id: EventId::of_parts(second, &[name, condition]),
        condition: condition.into(),
        name: condition.into(),
        role: Role::Symptom,
        depth: 0,
        severity: Severity::Error,
        entity: Entity::of_workload(workload),
        label: name.into(),
        pods: Vec::new(),
        nodes: Vec::new(),
        peer: None,
        start: Timestamp(AT + second * SECOND),
        last: Timestamp(AT + second * SECOND),
        count: 1,
        text: String::new(),
        caused_by: Vec::new(),
        facts: BTreeMap::new(),
        evidence: Vec::new(),
        exemplars: Vec::new(),
    }
}

/// A revision that comes half a second after its last step; the first step is the root.
pub(super) fn revision(id: u128, number: u32, mut steps: Vec<Step>) -> Revision {
    steps[0].role = Role::RootCause;
    let (first, last) = (steps[0].start, steps[steps.len() - 1].start);
    let incident = Incident {
        id: EventId(id),
        revision: number,
        state: if number == 1 { State::Open } else { State::Updated },
        severity: Severity::Error,
        cluster: "c".into(),
        namespace: "store".into(),
        workload: steps[0].label.clone(),
        first_symptom_at: first,
        opened_at: first,
        updated_at: last,
        confidence: 0.9,
        candidates: Vec::new(),
        rejected: Vec::new(),
        impact: Impact {
            score: 50.0,
            workloads: steps.iter().map(|step| step.label.clone()).collect(),
            depth: 1,
        },
        completeness: Completeness {
            score: 1.0,
            lost_events: 0,
            blind: Vec::new(),
        },
        recommendation: Some(Recommendation {
            action: format!("Roll back {}", steps[0].label),
            command: format!("kubectl -n store rollout undo deployment/{}", steps[0].label),
            precheck: String::new(),
            healed_when: String::new(),
        }),
        narrative: String::new(),
        merged_into: None,
        omitted: None,
        steps,
    };
    Revision {
        arrived_ns: last.as_ns() + SECOND / 2,
        incident,
    }
}

pub(super) fn deployment(second: u64, name: &str, condition: &str) -> Step {
    step(second, "Deployment", name, condition)
}

pub(super) fn fault(truth: &str) -> Scenario {
    let text = format!("{{summary: s, inject: 'true', witness: 'true', holds_seconds: 1, truth: {truth}}}");
    Scenario::parse("f", Kind::Fault, &text).unwrap()
}

/// A release of cart that fails, as its callers notice.
pub(super) fn bad_release() -> Scenario {
    fault(
        "{root: {kind: Deployment, namespace: store, name: cart, conditions: [image_changed]}, observed: true,
          chain: [{conditions: [image_changed], name: cart}, {conditions: [http_5xx], name: cart},
                  {conditions: [http_5xx], name: shop}],
          affected: [shop, edge], blameless: [stock],
          advice: {contains: [rollout undo deployment/cart]}}",
    )
}

fn told_right(id: u128) -> Revision {
    let steps = [
        deployment(0, "cart", "image_changed"),
        deployment(3, "cart", "http_5xx"),
        deployment(4, "shop", "http_5xx"),
    ];
    revision(id, 2, steps.into())
}

fn played() -> Played {
    Played {
        at_ns: AT,
        until_ns: AT + 60 * SECOND,
        ..Played::default()
    }
}

fn only_row(scenario: &Scenario, revisions: &[Revision]) -> Row {
    let rows = score(scenario, Kind::Fault, &played(), revisions);
    assert_eq!(rows.len(), 1);
    rows.into_iter().next().unwrap()
}

#[test]
fn a_fault_told_as_it_was_is_right_in_everything() {
    let row = only_row(&bad_release(), &[told_right(1)]);
    assert_eq!((row.root, row.incidents, row.chain), (Verdict::Right, 1, (3, 3)));
    assert_eq!(
        (row.advice, row.affected),
        (Some(true), (1, 2)),
        "edge is not told"
    );
    assert_eq!(
        (row.opened_after_fault, row.right_root_after),
        (Some(4.5), Some(4.5))
    );
    assert_eq!((row.confidence, row.blamed.len()), (Some(0.9), 0));
}

#[test]
fn nothing_told_is_untold() {
    let row = only_row(&bad_release(), &[]);
    assert_eq!(
        (row.root, row.incidents, row.opened_after_fault),
        (Verdict::Untold, 0, None)
    );
    assert_eq!(row.advice, Some(false), "what would have healed was not said");
}

#[test]
fn another_object_is_wrong_another_event_of_the_right_one_is_half_of_it() {
    let wrong = revision(1, 1, vec![deployment(1, "stock", "image_changed")]);
    let row = only_row(&bad_release(), &[wrong]);
    assert_eq!((row.root, row.blamed), (Verdict::Wrong, vec!["stock".to_owned()]));
    let object = revision(1, 1, vec![deployment(1, "cart", "http_5xx")]);
    assert_eq!(only_row(&bad_release(), &[object]).root, Verdict::Object);
    let kind = revision(1, 1, vec![step(1, "Job", "cart", "image_changed")]);
    assert_eq!(only_row(&bad_release(), &[kind]).root, Verdict::Wrong);
}

#[test]
fn a_release_before_the_fault_is_not_what_happened() {
    let mut old = told_right(1);
    old.incident.steps[0].start = Timestamp(AT - 30 * SECOND);
    assert_eq!(only_row(&bad_release(), &[old]).root, Verdict::Object);
}

#[test]
fn the_root_is_right_from_when_it_stays_right() {
    let wrong = |number| revision(1, number, vec![deployment(u64::from(number), "shop", "http_5xx")]);
    let right = |number| {
        let last = deployment(10 * u64::from(number), "cart", "http_5xx");
        revision(1, number, vec![deployment(0, "cart", "image_changed"), last])
    };
    let row = only_row(&bad_release(), &[right(1), wrong(2), right(3), right(4)]);
    assert_eq!((row.right_root_after, row.root), (Some(30.5), Verdict::Right));
    let row = only_row(&bad_release(), &[right(1), wrong(2)]);
    assert_eq!((row.right_root_after, row.root), (None, Verdict::Wrong));
}

#[test]
fn the_first_symptom_is_the_users_where_they_noticed() {
    let mut seen = played();
    seen.effect.first_at = Some(1_003.0);
    let rows = score(&bad_release(), Kind::Fault, &seen, &[told_right(1)]);
    assert_eq!(rows[0].opened_after_symptom, Some(1.5));
    let row = only_row(&bad_release(), &[told_right(1)]);
    assert_eq!(row.opened_after_symptom, None, "nobody noticed");
}

#[test]
fn fragments_count_and_merged_ones_do_not() {
    let fragment = revision(2, 1, vec![deployment(5, "edge", "http_5xx")]);
    let mut merged = revision(3, 2, vec![deployment(5, "shop", "http_5xx")]);
    merged.incident.state = State::Merged;
    let row = only_row(&bad_release(), &[told_right(1), fragment, merged]);
    assert_eq!((row.incidents, row.root), (2, Verdict::Right));
}

#[test]
fn what_belongs_to_another_scenario_is_left_to_it() {
    let mut before = told_right(1);
    for step in &mut before.incident.steps {
        step.start = Timestamp(AT - SECOND);
    }
    before.incident.first_symptom_at = Timestamp(AT - SECOND);
    before.incident.opened_at = Timestamp(AT - SECOND);
    let after = revision(2, 1, vec![deployment(61, "cart", "image_changed")]);
    assert_eq!(only_row(&bad_release(), &[before, after]).incidents, 0);
}

#[test]
fn an_earlier_incident_that_takes_the_fault_in_is_one_of_it() {
    let mut earlier = told_right(1);
    earlier.incident.opened_at = Timestamp(AT - 20 * SECOND);
    earlier.incident.first_symptom_at = Timestamp(AT - 20 * SECOND);
    assert_eq!(only_row(&bad_release(), &[earlier]).incidents, 1);
}

#[test]
fn what_else_runs_on_this_host_is_none_of_it_but_the_users_and_the_node_are() {
    let on_host = |kind: &str, name: &str| {
        let mut step = step(1, kind, name, "connect_refused");
        step.entity.workload.as_mut().unwrap().namespace = "host".into();
        step
    };
    let mut node = deployment(1, "lab", "network_loss");
    node.entity = Entity::of_node("lab");
    let stranger = revision(1, 1, vec![node.clone(), on_host("Cgroup", "somebody")]);
    let users = revision(2, 1, vec![on_host("Unit", "store-users")]);
    let alone = revision(3, 1, vec![node]);
    let all = [stranger, users, alone];
    assert_eq!(only_row(&bad_release(), &all).incidents, 2);
    assert_eq!(strangers(&all), 1);
}

#[test]
fn an_incident_about_a_killed_process_of_tapio_is_none_of_it_and_one_that_only_has_it_on_the_way_is() {
    let of_tapio = |second, name: &str| {
        let mut step = deployment(second, name, "signal_sent");
        step.entity.workload.as_mut().unwrap().namespace = "tapio".into();
        step
    };
    let about_kill = revision(1, 1, vec![of_tapio(20, "tapio-nats")]);
    let another_time = revision(2, 1, vec![of_tapio(40, "tapio-nats")]);
    let on_the_way = revision(
        3,
        1,
        vec![deployment(20, "cart", "signal_sent"), of_tapio(21, "tapio-nats")],
    );
    let kill = Kill {
        at_ns: AT + 20 * SECOND,
        container: "tapio-nats-0/nats".into(),
        pid: 1,
    };
    let (left, told) = without_kills(vec![about_kill, another_time, on_the_way], &[kill]);
    let ids: Vec<_> = left.iter().map(|revision| revision.incident.id).collect();
    assert_eq!((ids, told), (vec![EventId(2), EventId(3)], 1));
}

#[test]
fn links_count_in_their_order_only() {
    let steps = [
        deployment(1, "shop", "http_5xx"),
        deployment(2, "cart", "image_changed"),
        deployment(3, "cart", "http_5xx"),
    ];
    let row = only_row(&bad_release(), &[revision(1, 1, steps.into())]);
    assert_eq!(row.chain, (2, 3));
}

#[test]
fn two_faults_at_once_each_have_their_incident() {
    let two = fault(
        "[{root: {kind: Deployment, namespace: store, name: redis, conditions: [signal_sent]}, observed: true},
          {root: {kind: Deployment, namespace: store, name: reports, conditions: [signal_sent]}, observed: true,
           affected: [dashboard]}]",
    );
    let redis = revision(1, 1, vec![deployment(0, "redis", "signal_sent")]);
    let symptom = revision(2, 1, vec![deployment(1, "dashboard", "connect_refused")]);
    let rows = score(&two, Kind::Fault, &played(), &[redis, symptom]);
    let told: Vec<_> = rows.iter().map(|row| (row.root, row.incidents)).collect();
    assert_eq!(told, [(Verdict::Right, 1), (Verdict::Wrong, 1)]);
}

#[test]
fn where_no_command_heals_none_is_judged() {
    let kill = fault(
        "{root: {kind: Deployment, namespace: store, name: cart, conditions: [signal_sent]}, observed: true}",
    );
    let told = revision(1, 1, vec![deployment(0, "cart", "signal_sent")]);
    assert_eq!(only_row(&kill, &[told]).advice, None);
}

#[test]
fn a_control_counts_what_was_told_all_the_same() {
    let text = "{summary: s, inject: 'true', witness: 'true', holds_seconds: 1}";
    let control = Scenario::parse("c", Kind::Control, text).unwrap();
    let quiet = score(&control, Kind::Control, &played(), &[]);
    let alarm = score(&control, Kind::Control, &played(), &[told_right(1)]);
    assert_eq!((quiet[0].incidents, alarm[0].incidents), (0, 1));
}
