//! What is worse about a recording, and that the rest stays as it was.

use bus_schema::entity::Pod;
use bus_schema::event::kubernetes::ImageChanged;
use bus_schema::event::status::HttpError;
use bus_schema::event::{Body, Event};
use bus_schema::samples::{Samples, Shape};
use bus_schema::{Entity, EventId, Severity};

use super::*;
use crate::campaign::scenario::{Kind, Root, Truth};
use crate::campaign::score::Played;

const SECOND: u64 = 1_000_000_000;

fn recorded(observer: &str, batch: Batch) -> Recorded {
    let mut batch = batch;
    batch.header.observer = observer.into();
    let mut payload = Vec::new();
    batch.encode(&mut payload).unwrap();
    Recorded {
        stream: "TAPIO_ENRICHED_0".into(),
        sequence: 1,
        stored_ns: batch.events.first().map_or(1, |event| event.time_ns),
        subject: "s".into(),
        payload: payload.into(),
    }
}

/// What a node tells of pods.
fn batch(events: u64) -> Batch {
    let mut batch = Samples::new(Shape::of_a_node(events), 1_000 * SECOND)
        .next()
        .unwrap();
    for event in &mut batch.events {
        event.subject.pod = Some(Pod::default());
    }
    batch
}

fn samples(events: u64) -> Recorded {
    recorded("status", batch(events))
}

fn events(messages: &[Recorded]) -> Vec<Event> {
    let batches = messages
        .iter()
        .map(|message| Batch::decode(&message.payload).unwrap());
    batches.flat_map(|batch| batch.events).collect()
}

fn left(worse: &Worse) -> Vec<Event> {
    events(&worse.of(vec![samples(1000)], &[]).unwrap())
}

/// An event at `second` with what is said of `workload`.
fn told(second: u64, workload: &str, body: Body) -> Recorded {
    let mut batch = batch(1);
    let event = &mut batch.events[0];
    event.time_ns = second * SECOND;
    event.id = EventId::of_parts(event.time_ns, &[workload]);
    event.observed_ns = event.time_ns;
    event.severity = Severity::Warning;
    event.subject = Entity::of_object("Deployment", "store", workload);
    event.object = None;
    event.window_ns = 0;
    event.body = body;
    recorded("deployments", batch)
}

fn case(kind: Kind, second: u64, root: &str) -> Case {
    let truth = Truth {
        root: Root {
            kind: "Deployment".into(),
            namespace: "store".into(),
            name: root.into(),
            conditions: vec!["c".into()],
        },
        chain: Vec::new(),
        affected: Vec::new(),
        blameless: Vec::new(),
        advice: None,
        observed: true,
    };
    Case {
        name: root.into(),
        kind,
        played: Played {
            at_ns: second * SECOND,
            until_ns: (second + 60) * SECOND,
            ..Played::default()
        },
        truth: if kind == Kind::Fault {
            vec![truth]
        } else {
            Vec::new()
        },
    }
}

#[test]
fn what_is_lost_is_told_and_the_same_each_time() {
    let events = left(&Worse::Losing(0.2));
    let told = events.last().unwrap();
    assert_eq!(told.count + events.len() as u64 - 1, 1000);
    assert!((150..250).contains(&told.count), "{}", told.count);
    assert_eq!(left(&Worse::Losing(0.2)), events);
    assert_eq!(left(&Worse::Nothing).len(), 1000);
}

#[test]
fn an_observer_that_is_away_tells_nothing() {
    assert_eq!(left(&Worse::Without("status".into())), []);
    assert_eq!(left(&Worse::Without("memory".into())).len(), 1000);
}

#[test]
fn somebody_innocent_is_changed_before_a_fault_and_nobody_who_is_part_of_it() {
    let changes = [
        told(10, "cart", Body::ImageChanged(ImageChanged::default())),
        told(20, "stock", Body::ImageChanged(ImageChanged::default())),
    ];
    let before = |root: &str| {
        let cases = [case(Kind::Fault, 1000, root)];
        let messages = Worse::InnocentChange.of(changes.to_vec(), &cases).unwrap();
        let events = events(&messages);
        let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.id).collect();
        assert_eq!((events.len(), ids.len()), (3, 3));
        let decoy = events.last().unwrap();
        assert!((980 * SECOND..=998 * SECOND).contains(&decoy.time_ns));
        assert_eq!(messages[2].sequence, 3);
        decoy.subject.label()
    };
    assert_eq!(
        (before("cart").as_str(), before("stock").as_str()),
        ("stock", "cart")
    );
    let control = [case(Kind::Control, 1000, "cart")];
    assert_eq!(
        events(&Worse::InnocentChange.of(changes.to_vec(), &control).unwrap()).len(),
        2
    );
}

#[test]
fn a_bystander_complains_in_a_fault_as_in_a_control() {
    let error = || Body::HttpError(HttpError::default());
    let messages = vec![told(505, "cart", error()), told(700, "stock", error())];
    let count = |root: &str| {
        let cases = [case(Kind::Control, 500, ""), case(Kind::Fault, 1000, root)];
        let messages = Worse::NoisyBystander.of(messages.clone(), &cases).unwrap();
        let during = events(&messages);
        let during = during.iter().filter(|event| event.time_ns >= 1000 * SECOND);
        during.map(|event| event.subject.label()).collect::<Vec<_>>()
    };
    // what fails outside of controls may be a fault of its own
    assert_eq!(count("edge"), ["cart", "cart", "cart"]);
    assert_eq!(count("cart"), [""; 0]);
}

#[test]
fn single_events_of_half_of_the_observers_are_earlier_and_sums_stay() {
    let times = |half| -> Vec<_> {
        left(&Worse::ClocksApart(half))
            .iter()
            .map(|event| event.time_ns)
            .collect()
    };
    let as_recorded: Vec<_> = left(&Worse::Nothing).iter().map(|event| event.time_ns).collect();
    let shifted = |half| {
        let pairs = times(half).into_iter().zip(&as_recorded);
        pairs.filter(|(now, then)| *then - now == 80_000_000).count()
    };
    let single = left(&Worse::Nothing)
        .iter()
        .filter(|event| event.window_ns == 0)
        .count();
    let both = [shifted(Half::Even), shifted(Half::Odd)];
    assert!(single > 0 && single < 1000, "{single}");
    assert_eq!((both.iter().max(), both.iter().min()), (Some(&single), Some(&0)));
}

#[test]
fn of_two_nodes_one_is_blind_and_of_one_a_third_of_the_workloads() {
    let on = |node: &str| {
        let mut batch = batch(1000);
        batch.header.node = node.into();
        recorded("status", batch)
    };
    let two = Worse::BlindNode.of(vec![on("a"), on("b")], &[]).unwrap();
    let counts: Vec<_> = two
        .iter()
        .map(|message| Batch::decode(&message.payload).unwrap().events.len())
        .collect();
    assert!(counts == [0, 1000] || counts == [1000, 0], "{counts:?}");
    let one = left(&Worse::BlindNode).len();
    assert!((1..1000).contains(&one), "{one}");
    // who watches the API sees all of it
    let change = vec![told(10, "cart", Body::ImageChanged(ImageChanged::default()))];
    assert_eq!(events(&Worse::BlindNode.of(change, &[]).unwrap()).len(), 1);
}
