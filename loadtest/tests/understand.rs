//! The correlator understands what it has understood before: the recordings of real faults and a few generated systems.

use std::path::Path;
use std::sync::Arc;

use correlator::rules::RuleBook;
use loadtest::campaign::scenario::Kind;
use loadtest::campaign::score::{Row, Verdict};
use loadtest::corpus::worse::Worse;
use loadtest::corpus::{Recording, replayed};
use loadtest::generator::{Family, Handicaps, Plan, Size};
use loadtest::understand::generated;

/// Faults with a wrong root, incidents of all faults, and controls with an incident.
fn judged(rows: &[Row]) -> (Vec<&str>, usize, Vec<&str>) {
    let (faults, controls): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.kind == Kind::Fault);
    let wrong = faults.iter().filter(|row| row.root != Verdict::Right);
    let alarms = controls.iter().filter(|row| row.incidents > 0);
    (
        wrong.map(|row| row.name.as_str()).collect(),
        faults.iter().map(|row| row.incidents).sum(),
        alarms.map(|row| row.name.as_str()).collect(),
    )
}

#[test]
fn every_recorded_fault_has_its_root_and_no_control_an_incident() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../correlator/corpus");
    let book = Arc::new(RuleBook::embedded().unwrap());
    let mut rows = Vec::new();
    for recording in Recording::all(&corpus).unwrap() {
        let revisions = replayed::revisions(&recording, &book, &Worse::Nothing).unwrap();
        let of_case = |case| replayed::of_case(case, &revisions);
        rows.extend(recording.cases.iter().flat_map(of_case));
    }
    let faults = rows.iter().filter(|row| row.kind == Kind::Fault).count();
    assert!(faults >= 37, "{faults}");
    let (wrong, incidents, alarms) = judged(&rows);
    assert!(wrong.len() * 20 <= faults, "{wrong:?}");
    assert!(
        incidents * 10 <= faults * 11,
        "{incidents} incidents of {faults} faults"
    );
    assert_eq!(alarms, [""; 0]);
}

#[test]
fn generated_faults_have_their_roots_and_what_is_healthy_no_incident() {
    let book = Arc::new(RuleBook::embedded().unwrap());
    let families = Family::FAULTS.into_iter().chain([Family::Control]);
    let plans = families.map(|family| Plan {
        family,
        size: Size::Small,
        two: false,
        handicaps: Handicaps::default(),
        seed: 1,
    });
    let rows: Vec<_> = plans
        .flat_map(|plan| generated::rows_of(&book, &plan, None).unwrap())
        .map(|(_, row)| row)
        .collect();
    let (wrong, _, alarms) = judged(&rows);
    assert!(wrong.len() <= 1, "{wrong:?}");
    assert_eq!(alarms, [""; 0]);
}
