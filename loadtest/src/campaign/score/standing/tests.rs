//! Who stands where among the candidates, and who is no victim.

use super::super::tests::{AT, bad_release, deployment, revision};
use super::*;

fn candidate(name: &str, condition: &str) -> Candidate {
    Candidate {
        episode: None,
        condition: condition.to_owned(),
        entity: format!("Deployment/store/{name}"),
        hypothesis: String::new(),
        prior: None,
        probability: 0.1,
        explains: Vec::new(),
        missing: Vec::new(),
    }
}

/// An incident that begins with this and has these candidates.
fn told(name: &str, condition: &str, candidates: Vec<Candidate>) -> Incident {
    let mut incident = revision(1, 1, vec![deployment(1, name, condition)]).incident;
    incident.candidates = candidates;
    incident
}

#[test]
fn the_told_root_is_first_and_the_others_follow_in_their_order() {
    let truth = &bad_release().truth[0];
    let place = |incident: &Incident| place_of_root(truth, incident, AT);
    let true_one = || candidate("cart", "image_changed");
    assert_eq!(place(&told("cart", "image_changed", vec![])), Some(1));
    let mut own = candidate("stock", "image_changed");
    let mut wrong = told("stock", "image_changed", vec![]);
    own.episode = Some(wrong.steps[0].id);
    wrong.candidates = vec![own, candidate("shop", "image_changed"), true_one()];
    assert_eq!(place(&wrong), Some(3));
    wrong.candidates.pop();
    assert_eq!(place(&wrong), None, "it is not among them");
}

#[test]
fn who_suffers_or_has_no_part_in_it_is_a_victim_and_who_began_it_is_none() {
    let all = bad_release().truth;
    let victim = |name: &str| {
        let incident = told(name, "image_changed", vec![]);
        victim(&all[0], &all, &incident).map(str::to_owned)
    };
    assert_eq!(victim("edge").as_deref(), Some("edge"), "affected");
    assert_eq!(victim("stock").as_deref(), Some("stock"), "blameless");
    assert_eq!(victim("cart"), None);
    assert_eq!(victim("unheard-of"), None, "the truth does not know it");
}
