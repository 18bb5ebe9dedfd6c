//! The correlator understands what it has understood before: the recordings of real faults and a few generated systems.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bus_schema::EventId;
use bus_schema::incident::{State, Step};
use correlator::rules::RuleBook;
use loadtest::campaign::scenario::Kind;
use loadtest::campaign::score::{Edges, Order, Revision, Row, Verdict};
use loadtest::corpus::replayed::{self, Replayed};
use loadtest::corpus::worse::Worse;
use loadtest::corpus::{Case, Recording};
use loadtest::generator::{Family, Handicaps, Plan, Size};
use loadtest::understand::baselines::Heard;
use loadtest::understand::generated;
use loadtest::understand::unclear::Answer;

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

/// Rows of all recordings of a folder of the correlator.
fn recorded(folder: &str) -> Result<Vec<Row>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../correlator")
        .join(folder);
    let book = Arc::new(RuleBook::embedded()?);
    let mut rows = Vec::new();
    for recording in Recording::all(&folder)? {
        let revisions = replayed::revisions(&recording, &book, &Worse::Nothing)?;
        let order = Order::line(Heard::of(&recording)?.calls);
        let of_case = |case| replayed::of_case_in(&order, case, &revisions);
        rows.extend(recording.cases.iter().flat_map(of_case));
    }
    Ok(rows)
}

#[test]
fn every_recorded_fault_has_its_root_and_no_control_an_incident() {
    let rows = recorded("corpus").unwrap();
    let faults = rows.iter().filter(|row| row.kind == Kind::Fault).count();
    assert!(faults >= 37, "{faults}");
    let (wrong, incidents, alarms) = judged(&rows);
    assert!(wrong.len() * 20 <= faults, "{wrong:?}");
    assert!(
        incidents * 10 <= faults * 11,
        "{incidents} incidents of {faults} faults"
    );
    assert_eq!(alarms, [""; 0]);

    let mut edges = Edges::default();
    for row in rows {
        edges += row.edges;
    }
    let told = edges.right + edges.wrong + edges.inverted;
    assert_eq!(edges.inverted, 0, "{:?}", edges.mistakes);
    assert!(edges.right * 100 >= told * 95, "of {told}: {:?}", edges.mistakes);
    assert!(
        edges.found * 100 >= edges.of * 80,
        "{} of {}",
        edges.found,
        edges.of
    );
}

/// No root in these was fitted to, and some of their causes no observer saw. Some mechanisms came of what `store-4` told besides its
/// roots.
#[test]
fn of_recordings_that_nothing_was_fitted_to_most_have_their_root() {
    let rows = recorded("corpus/open").unwrap();
    let faults = rows.iter().filter(|row| row.kind == Kind::Fault).count();
    assert!(faults >= 31, "{faults}");
    let (wrong, _, alarms) = judged(&rows);
    assert!(wrong.len() * 7 <= faults, "{wrong:?}");
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

fn rows(plan: &str) -> Result<Vec<Row>> {
    let book = Arc::new(RuleBook::embedded()?);
    let rows = generated::rows_of(&book, &plan.parse()?, None)?;
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn answer(plan: &str) -> Result<Answer> {
    let book = Arc::new(RuleBook::embedded()?);
    let (case, revisions) = generated::revisions_of(&book, &plan.parse()?)?;
    Ok(Answer::in_the_end(&case, &revisions))
}

#[test]
fn one_bad_pod_of_several_is_told_where_it_is_and_a_rollout_alone_is_not_told() {
    assert_eq!(judged(&rows("replica:3-10:8").unwrap()).0, [""; 0]);
    assert_eq!(answer("harmless:3-10:2").unwrap(), Answer::Silent);
}

#[test]
fn of_trouble_that_passes_nobody_is_sure_and_of_a_release_that_fails_one_is() {
    assert!(answer("passing:3-10:1").unwrap() < Answer::Claimed);
    assert_eq!(answer("release:3-10:1").unwrap(), Answer::Claimed);
}

/// What followed since the clocks were set back, if they were, at that second after the fault.
fn told(plan: &str, set_back: Option<u64>) -> Result<(Case, Vec<Revision>)> {
    let book = Arc::new(RuleBook::embedded()?);
    let worse = set_back.map_or(Worse::Nothing, Worse::ClocksSetBack);
    generated::revisions_of_worse(&book, &plan.parse()?, &worse)
}

#[test]
fn clocks_that_are_set_back_as_a_fault_begins_change_nothing_that_is_told_of_it() {
    for plan in ["kill:3-10:1", "leak:3-10:1", "release:3-10:1"] {
        let rows = |(case, revisions): (Case, Vec<Revision>)| replayed::of_case(&case, &revisions);
        let right = rows(told(plan, None).unwrap());
        assert_eq!(judged(&right).0, [""; 0], "{plan}");
        assert_eq!(
            judged(&rows(told(plan, Some(0)).unwrap())),
            judged(&right),
            "{plan}"
        );
    }
}

/// Ids and the states that follow, of all incidents.
fn lives(revisions: &[Revision]) -> BTreeMap<EventId, Vec<State>> {
    let mut lives: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Revision { incident, .. } in revisions {
        let states = lives.entry(incident.id).or_default();
        if states.last() != Some(&incident.state) {
            states.push(incident.state);
        }
    }
    lives
}

#[test]
fn an_incident_goes_on_when_the_clocks_are_set_back_and_its_cause_stays_before_it() {
    for (plan, after) in [
        ("leak:3-10:1", 20),
        ("release:3-10:1", 12),
        ("release:3-10:1", 25),
    ] {
        let chain = |revisions: &[Revision]| -> Vec<_> {
            let steps = revisions.last().map(|last| last.incident.steps.clone());
            let named = |step: Step| (step.label, step.condition);
            steps.unwrap().into_iter().map(named).collect()
        };
        let ((_, right), (_, set_back)) = (told(plan, None).unwrap(), told(plan, Some(after)).unwrap());
        // For a second what belongs together may seem to be apart.
        let states = |revisions: &[Revision]| {
            let mut states: Vec<_> = lives(revisions).into_values().collect();
            states.retain(|states| states.last() != Some(&State::Merged));
            states.sort_by_key(Vec::len);
            states
        };
        assert_eq!(states(&set_back), states(&right), "{plan} after {after} s");
        assert_eq!(chain(&set_back), chain(&right), "{plan} after {after} s");
    }
}

#[test]
fn clocks_that_differ_by_node_do_not_change_a_root() {
    for plan in ["kill:3-10:1", "kill:3-10:1:skewed"] {
        assert_eq!(judged(&rows(plan).unwrap()).0, [""; 0], "{plan}");
    }
}

/// The rows of the first cases of a recording, with nothing in it after them, and how many messages it has that were not recorded.
fn first_rows(recording: &Recording, worse: &Worse, count: usize) -> Result<(Vec<Row>, usize)> {
    let book = Arc::new(RuleBook::embedded()?);
    let cases: Vec<Case> = recording.cases.iter().take(count).cloned().collect();
    let end_ns = cases.last().map_or(0, |case| case.played.until_ns);
    let (head, mut messages) = recording.messages()?;
    messages.retain(|message| message.stored_ns < end_ns);
    let recorded = messages.len();
    let messages = worse.of(messages, &cases)?;
    let added = messages.len() - recorded;
    let mut replayed = Replayed::new(&head, &book)?;
    messages
        .into_iter()
        .try_for_each(|message| replayed.take(message))?;
    let of_case = |case| replayed::of_case(case, &replayed.revisions);
    Ok((cases.iter().flat_map(of_case).collect(), added))
}

#[test]
fn an_innocent_change_before_a_fault_is_not_its_root() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../correlator/corpus");
    let recordings = Recording::all(&corpus).unwrap();
    let recording = recordings.iter().find(|recording| recording.name == "store-2");
    for (worse, changes) in [(Worse::Nothing, 0), (Worse::InnocentChange, 2)] {
        let (rows, added) = first_rows(recording.unwrap(), &worse, 4).unwrap();
        assert_eq!((judged(&rows), added), ((vec![], 2, vec![]), changes), "{worse}");
    }
}
