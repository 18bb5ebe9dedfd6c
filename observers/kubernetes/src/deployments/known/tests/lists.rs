//! Whole lists of objects: the first, later ones, and what happened between two of them.

use super::*;

#[test]
fn the_first_list_is_no_change_and_neither_is_a_list_of_the_same() {
    let mut watched = Watched::new("Deployment");
    let (one, two) = (deployment(1, "redis:6", 1, ""), deployment(2, "redis:7", 1, ""));
    assert_eq!(
        watched.list(&[&one]),
        ["Created [] late"],
        "made after an empty list"
    );
    assert!(watched.list(&[&one]).is_empty());
    assert_eq!(
        watched.list(&[&two]),
        ["Image redis redis:6 -> redis:7 late pods"]
    );
    assert_eq!(watched.list(&[]), ["Deleted [] late"]);
    assert!(watched.list(&[]).is_empty());
    let mut fresh = Objects::new(&KINDS[0], SharedIndex::default());
    fresh.begin_list();
    fresh.see(&object(&one), 1);
    fresh.begin_list();
    assert_eq!(fresh.see(&object(&two), 2), [], "the first list was cut off");
    assert_eq!(fresh.end_list(3), []);
}

#[test]
fn one_that_was_replaced_unseen_is_one_late_change() {
    let mut watched = Watched::new("ConfigMap");
    watched.list(&[&config("u", "1", "")]);
    assert_eq!(watched.list(&[&config("v", "1", "")]), ["Changed [] late"]);
    assert_eq!(
        watched.list(&[&config("w", "2", "")]),
        ["Changed [Data  port:  -> ] late"]
    );
}

#[test]
fn after_an_interruption_what_happened_meanwhile_is_late() {
    let mut watched = Watched::new("ConfigMap");
    watched.see(&config("u", "1", ""));
    watched.objects.interrupt(watched.now_ns);
    assert_eq!(
        watched.see(&config("u", "2", "")),
        ["Changed [Data  port:  -> ] late"]
    );
    let written = |value: &str| {
        config(
            "u",
            value,
            r#", "managedFields": [{"manager": "m", "time": "1970-01-01T00:16:40Z", "fieldsV1": {"f:data": {}}}]"#,
        )
    };
    assert_eq!(
        watched.see(&written("3")),
        ["Changed [Data  port:  -> ]"],
        "written just now"
    );
    assert_eq!(
        watched.see(&config("u", "4", "")),
        ["Changed [Data  port:  -> ]"],
        "it goes on"
    );
}
