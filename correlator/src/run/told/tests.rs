//! Incidents that were told by somebody who is gone.

use super::*;

/// An incident with one step.
fn incident(id: u128, step: u128, revision: u32, state: State) -> Incident {
    let text = include_str!("../../../../cli/tests/incident.json");
    let mut incident: Incident = serde_json::from_str(text).unwrap();
    incident.id = EventId(id);
    incident.revision = revision;
    incident.state = state;
    incident.steps.truncate(1);
    incident.steps[0].id = EventId(step);
    incident.merged_into = None;
    incident
}

fn told(incident: &Incident) -> (u128, u32, State) {
    (incident.id.0, incident.revision, incident.state)
}

#[test]
fn an_incident_that_is_found_again_goes_on_after_the_revision_that_was_told() {
    let mut book = Told::default();
    book.recall(incident(1, 10, 7, State::Updated));
    book.find(incident(1, 10, 1, State::Open));
    assert_eq!(book.settle(0), [], "nothing is told twice");
    let next = book.go_on(incident(1, 10, 2, State::Updated));
    assert_eq!(told(&next), (1, 8, State::Updated));
    let next = book.go_on(incident(1, 10, 3, State::Resolved));
    assert_eq!(told(&next), (1, 9, State::Resolved));
}

#[test]
fn one_that_is_called_otherwise_now_keeps_the_id_under_which_it_was_told() {
    let mut book = Told::default();
    book.recall(incident(1, 10, 7, State::Updated));
    book.find(incident(2, 10, 1, State::Open));
    assert_eq!(book.settle(0), []);
    let next = book.go_on(incident(2, 11, 2, State::Updated));
    assert_eq!(
        told(&next),
        (1, 8, State::Updated),
        "the same, whatever it consists of now"
    );
    let other = book.go_on(incident(3, 10, 1, State::Open));
    assert_eq!(told(&other), (3, 1, State::Open), "one incident is not two");
    let mut merged = incident(3, 12, 2, State::Merged);
    merged.merged_into = Some(EventId(2));
    assert_eq!(book.go_on(merged).merged_into, Some(EventId(1)));
}

#[test]
fn what_was_told_as_open_and_is_over_is_told_to_be_over() {
    let mut book = Told::default();
    book.recall(incident(1, 10, 7, State::Updated));
    book.recall(incident(2, 20, 3, State::Open));
    book.recall(incident(3, 30, 5, State::Resolved));
    book.find(incident(1, 10, 4, State::Resolved));
    let over = book.settle(u64::MAX);
    let over: Vec<_> = over.iter().map(told).collect();
    assert_eq!(over, [(1, 8, State::Resolved), (2, 4, State::Resolved)]);
}

#[test]
fn what_nobody_told_is_told_as_it_is() {
    let mut book = Told::default();
    let first = incident(1, 10, 1, State::Open);
    assert_eq!(book.go_on(first.clone()), first);
}
