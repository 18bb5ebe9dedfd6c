//! Hand-written chains against truths: what is right, what is wrong, what is the wrong way round.

use bus_schema::incident::CausedBy;

use super::super::order::Calls;
use super::super::tests::{AT, bad_release, deployment, fault, revision};
use super::*;

/// A step with this severity that says it was caused by these.
fn caused(mut step: Step, severity: Severity, causes: &[&Step]) -> Step {
    step.severity = severity;
    let by = |cause: &&Step| CausedBy {
        step: cause.id,
        rule: String::new(),
        mechanism: String::new(),
        strength: 1.0,
    };
    step.caused_by = causes.iter().map(by).collect();
    step
}

fn deed(name: &str, condition: &str) -> Step {
    caused(deployment(0, name, condition), Severity::Notice, &[])
}

fn suffers(second: u64, name: &str, by: &Step) -> Step {
    caused(deployment(second, name, "http_5xx"), Severity::Warning, &[by])
}

fn compared(truth: &Truth, order: &Order, steps: Vec<Step>) -> Edges {
    let incident = revision(1, 1, steps).incident;
    compare(truth, std::slice::from_ref(truth), order, &[&incident], AT)
}

fn counts(edges: &Edges) -> (usize, usize, usize) {
    (edges.right, edges.wrong, edges.inverted)
}

fn calls(all: &[(&str, &str)]) -> Calls {
    let mut calls = Calls::default();
    for (caller, called) in all {
        calls.hear(caller, called);
    }
    calls
}

#[test]
fn a_chain_told_as_it_was_has_every_edge_and_no_other() {
    let truth = &bad_release().truth[0];
    let root = deed("cart", "image_changed");
    let (cart, shop) = (suffers(3, "cart", &root), deployment(4, "shop", "http_5xx"));
    let shop = caused(shop, Severity::Error, &[&cart]);
    let whole = compared(truth, &Order::default(), vec![root.clone(), cart.clone(), shop]);
    assert_eq!(counts(&whole), (2, 0, 0), "{whole:?}");
    assert_eq!((whole.found, whole.of), (3, 4), "edge is affected and not told");
    let short = compared(truth, &Order::default(), vec![root, cart]);
    assert_eq!((short.found, short.of), (1, 4), "shop is left out");
}

#[test]
fn what_is_told_the_other_way_round_is_inverted() {
    let truth = &bad_release().truth[0];
    let shop = caused(deployment(2, "shop", "http_5xx"), Severity::Error, &[]);
    let cart = suffers(3, "cart", &shop);
    let told = compared(truth, &Order::default(), vec![shop, cart]);
    assert_eq!(counts(&told), (0, 0, 1), "{told:?}");
    assert_eq!(told.mistakes, ["inverted at 1.00: shop http_5xx → cart http_5xx"]);
}

#[test]
fn a_stranger_and_a_decoy_of_who_suffers_are_wrong_and_another_suffering_there_is_not() {
    let truth = &bad_release().truth[0];
    let of = |cause: Step| {
        let shop = suffers(4, "shop", &cause);
        counts(&compared(truth, &Order::default(), vec![cause, shop]))
    };
    assert_eq!(of(deed("stock", "image_changed")), (0, 1, 0), "a stranger");
    assert_eq!(of(deed("shop", "image_changed")), (0, 1, 0), "a decoy");
    let slow = caused(deployment(3, "shop", "http_slow"), Severity::Warning, &[]);
    assert_eq!(of(slow), (1, 0, 0));
}

#[test]
fn what_began_before_the_fault_is_not_judged() {
    let truth = &bad_release().truth[0];
    let stock = deed("stock", "image_changed");
    let mut shop = suffers(4, "shop", &stock);
    shop.start = bus_schema::Timestamp(AT - 5_000_000_000);
    let told = compared(truth, &Order::default(), vec![stock, shop]);
    assert_eq!(counts(&told), (0, 0, 0));
}

#[test]
fn in_a_measured_chain_callers_suffer_from_whom_they_call() {
    let scenario = fault(
        "{root: {kind: Deployment, namespace: store, name: cart, conditions: [image_changed]}, observed: true,
          chain: [{conditions: [image_changed], name: cart}, {conditions: [http_5xx], name: edge},
                  {conditions: [http_5xx], name: shop}], affected: [edge, shop]}",
    );
    let truth = &scenario.truth[0];
    let order = Order::measured(calls(&[("edge", "shop"), ("edge", "cart"), ("shop", "cart")]));
    let root = deed("cart", "image_changed");
    let of = |first: &str, then: &str| {
        let first = suffers(3, first, &root);
        let then = suffers(4, then, &first);
        compared(truth, &order, vec![root.clone(), first, then])
    };
    let right = of("shop", "edge");
    assert_eq!(
        counts(&right),
        (2, 0, 0),
        "edge calls shop, whichever is listed first"
    );
    assert_eq!((right.found, right.of), (2, 2));
    assert_eq!(counts(&of("edge", "shop")), (1, 0, 1), "shop does not call edge");
}

#[test]
fn a_caller_of_whom_the_truth_says_nothing_may_suffer_and_somebody_else_may_not() {
    let truth = &bad_release().truth[0];
    let order = Order::line(calls(&[("blog", "shop"), ("shop", "cart")]));
    let of = |name: &str| {
        let shop = caused(deployment(3, "shop", "http_5xx"), Severity::Error, &[]);
        let other = suffers(4, name, &shop);
        counts(&compared(truth, &order, vec![shop, other]))
    };
    assert_eq!(of("blog"), (1, 0, 0));
    assert_eq!(of("stranger"), (0, 1, 0));
}
