//! Rows and costs against their bounds.

use crate::campaign::cost::{Cost, LagSpan};
use crate::campaign::scenario::Kind;
use crate::campaign::score::{Edges, Played, Row, Verdict};

use super::*;

fn row(kind: Kind, root: Verdict, incidents: usize) -> Row {
    Row {
        name: "r".into(),
        kind,
        played: Played::default(),
        observed: true,
        opened_after_fault: Some(1.0),
        opened_after_symptom: Some(0.5),
        right_root_after: Some(1.0),
        root,
        told: None,
        incidents,
        chain: (1, 2),
        affected: (0, 0),
        blamed: Vec::new(),
        advice: Some(true),
        confidence: Some(0.8),
        completeness: Some(1.0),
        victims: Vec::new(),
        edges: Edges::default(),
        place: Some(1),
        unobserved_there: false,
        evidence: Vec::new(),
        rules: std::collections::BTreeSet::new(),
        narratives: Vec::new(),
    }
}

fn met(checks: &[Check], what: &str) -> bool {
    checks.iter().find(|check| check.what == what).unwrap().met
}

#[test]
fn nine_of_ten_right_roots_are_enough_and_eight_are_not() {
    let rows = |right| -> Vec<Row> {
        let told = |n| {
            if n < right {
                Verdict::Right
            } else {
                Verdict::Object
            }
        };
        (0..10).map(|n| row(Kind::Fault, told(n), 1)).collect()
    };
    let what = "right roots of observed causes";
    assert!(met(&checks(&rows(9), &[], 0), what));
    assert!(!met(&checks(&rows(8), &[], 0), what));
}

#[test]
fn a_cause_that_nobody_sees_and_a_fault_that_was_not_played_are_not_held_against_the_roots() {
    let mut unseen = row(Kind::Fault, Verdict::Wrong, 1);
    unseen.observed = false;
    let mut unplayed = row(Kind::Fault, Verdict::Untold, 0);
    unplayed.played.failure = Some("no".into());
    let rows = [row(Kind::Fault, Verdict::Right, 1), unseen, unplayed];
    assert!(met(&checks(&rows, &[], 0), "right roots of observed causes"));
}

#[test]
fn one_incident_in_a_control_is_too_many() {
    let control = |incidents| row(Kind::Control, Verdict::Untold, incidents);
    assert!(met(
        &checks(&[control(0), control(0)], &[], 0),
        "incidents in controls"
    ));
    assert!(!met(
        &checks(&[control(0), control(1)], &[], 0),
        "incidents in controls"
    ));
}

#[test]
fn fragments_delays_and_lost_leases_have_their_bounds() {
    let mut late = row(Kind::Fault, Verdict::Right, 3);
    late.opened_after_symptom = Some(2.5);
    let checks = checks(&[late], &[], 1);
    for what in [
        "incidents a fault",
        "opened after the first symptom, at most",
        "leases lost",
    ] {
        assert!(!met(&checks, what), "{what}");
    }
}

#[test]
fn a_correlator_that_slows_down_and_grows_is_told() {
    let lag = |p99_ms| LagSpan { p50_ms: 1.0, p99_ms };
    let cost = |end_kb, cores, last| Cost {
        process: "tapio-correlator-0/tapio-correlator".into(),
        seconds: 2_400.0,
        cores,
        cores_by_span: vec![cores],
        start_kb: 10_000,
        settled_kb: Some(20_000),
        end_kb,
        lag_first: Some(lag(500.0)),
        lag_last: Some(lag(last)),
    };
    assert!(
        checks(&[], &[cost(21_000, 0.05, 600.0)], 0)
            .iter()
            .all(|check| check.met)
    );
    let worse = checks(&[], &[cost(150_000, 0.3, 180_000.0)], 0);
    assert_eq!(worse.iter().filter(|check| !check.met).count(), 3, "{worse:?}");
}

#[test]
fn the_brier_score_is_the_mean_square_of_what_was_claimed_too_much() {
    let rows = [
        row(Kind::Fault, Verdict::Right, 1),
        row(Kind::Fault, Verdict::Wrong, 1),
    ];
    let remarks = remarks(&rows);
    let brier = remarks
        .iter()
        .find(|(what, _)| what.starts_with("Brier"))
        .unwrap();
    assert_eq!(brier.1, "0.340");
}
