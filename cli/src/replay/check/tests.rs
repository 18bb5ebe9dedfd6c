//! What is said of two replays that agree, and of two that do not.

use std::num::NonZeroUsize;

use bus_client::publisher::Outgoing;
use correlator::run::replay::compare::Agreement;

use super::*;

const INCIDENT: &str = include_str!("../../../tests/incident.json");

fn args() -> ReplayArgs {
    ReplayArgs {
        file: "recording".into(),
        without: Vec::new(),
        rules: None,
        workers: NonZeroUsize::new(3).unwrap(),
        check: true,
        seed: 7,
        late: std::time::Duration::from_secs(2),
    }
}

fn revision(text: &str) -> Output {
    let message = Outgoing {
        subject: "tapio.incidents.error.shop.cart".into(),
        message_id: None,
        events: 1,
        payload: text.to_owned().into(),
    };
    Output { message, put: None }
}

fn place() -> Place {
    Place {
        stream: "TAPIO_ENRICHED_1".into(),
        sequence: 812,
        stored_ns: 1_795_949_415_888_693_186,
    }
}

#[test]
fn what_is_the_same_is_said_with_how_much_it_is() {
    let agreement = Agreement {
        messages: 812,
        revisions: 27,
    };
    let found = of_workers(&args(), Comparison::Same(agreement)).unwrap();
    assert!(found.is_same);
    assert_eq!(found.tried, "3 workers");
    assert!(found.text.contains("27 revisions") && found.text.contains("812 messages"));
    let found = of_order(&args(), Outcomes::Same(5));
    assert!(found.is_same);
    assert_eq!(found.tried, "reports up to 2s late, seed 7");
}

#[test]
fn a_difference_is_said_with_its_message_both_revisions_and_where_they_part() {
    let confidence = INCIDENT.split("\"confidence\":").nth(1).unwrap();
    let confidence: String = confidence.chars().take_while(|sign| *sign != ',').collect();
    let other = INCIDENT.replacen(
        &format!("\"confidence\":{confidence}"),
        "\"confidence\": 0.125",
        1,
    );
    assert_ne!(INCIDENT, other);
    let difference = Difference {
        after: place(),
        one: Some(revision(INCIDENT)),
        other: Some(revision(&other)),
    };
    let found = of_workers(&args(), Comparison::Different(Box::new(difference))).unwrap();
    assert!(!found.is_same);
    let text = found.text;
    assert!(
        text.starts_with("not the same from message 812 of TAPIO_ENRICHED_1, stored at 2026-"),
        "{text}"
    );
    assert!(
        text.contains("0.125") && text.contains(confidence.trim()),
        "{text}"
    );
    assert_eq!(text.matches("INC-").count(), 2, "{text}");
}

#[test]
fn who_publishes_no_more_is_said_to() {
    let difference = Difference {
        after: place(),
        one: Some(revision(INCIDENT)),
        other: None,
    };
    let text = differing(&difference).unwrap();
    assert!(text.contains("several  nothing more"), "{text}");
    assert!(!text.contains("one      nothing more"), "{text}");
}

#[test]
fn incidents_of_one_order_alone_are_listed() {
    let summary = |root: &str| Summary {
        root: root.to_owned(),
        members: [root.to_owned()].into(),
        is_resolved: false,
    };
    let divergence = Divergence {
        after: place(),
        recorded: vec![summary("Deployment/shop/cart image_changed")],
        other: vec![summary("Deployment/shop/stock not_observed")],
    };
    let found = of_order(&args(), Outcomes::Different(Box::new(divergence)));
    assert!(!found.is_same);
    assert!(
        found
            .text
            .contains("as recorded  open, root Deployment/shop/cart image_changed"),
        "{}",
        found.text
    );
    assert!(
        found
            .text
            .contains("late         open, root Deployment/shop/stock not_observed"),
        "{}",
        found.text
    );
}
