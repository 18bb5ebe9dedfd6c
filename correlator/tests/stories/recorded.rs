//! A story as a bus would have held it, replayed through the three stages; and what would be told if something had not been.

use std::sync::Arc;

use bus_client::bundle::{Bundle, Head, Recorded, Writer};
use bus_client::codec::Codec;
use bus_schema::Incident;
use bus_schema::incident::NOT_OBSERVED;
use bus_schema::names::{ENRICHED_STREAM, partition_stream};
use correlator::rules::RuleBook;
use correlator::run::replay::without::Without;
use correlator::run::replay::{self, Replay};

use super::SECOND;
use super::kubernetes::pod;
use super::log::Log;
use super::replay::conditions;

/// A release of stock, and errors that follow from it.
fn release() -> Log {
    let mut log = Log::default();
    log.healthy(0, 60);
    log.image(20 * SECOND, "stock");
    log.errors_of(22 * SECOND, &pod("stock", 1), 15);
    log
}

/// As it stands in a file after it was on the bus.
fn recorded(log: Log) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &Head::new(1)).unwrap();
    for batch in log.batches() {
        let mut payload = Vec::new();
        batch.encode(&mut payload).unwrap();
        let message = Recorded {
            stream: partition_stream(ENRICHED_STREAM, 0),
            sequence: batch.header.first_sequence,
            stored_ns: batch.header.received_ns,
            subject: "tapio.enriched.0.network".into(),
            payload: payload.into(),
        };
        writer.write(&message).unwrap();
    }
    writer.finish().unwrap()
}

fn replayed(file: &[u8], without: Option<&str>) -> Vec<Incident> {
    let bundle = Bundle::open(file).unwrap();
    let mut replay = Replay::new(&Arc::new(RuleBook::embedded().unwrap()), &bundle.head).unwrap();
    let mut codec = Codec::new().unwrap();
    let without: Option<Without> = without.map(|text| text.parse().unwrap());
    let messages = replay::in_order(bundle.map(Result::unwrap).collect());
    let left = messages.into_iter().filter_map(|message| match &without {
        Some(without) => without.take_out(&mut codec, message).unwrap(),
        None => Some(message),
    });
    let published: Vec<_> = left.flat_map(|message| replay.apply(message).unwrap()).collect();
    published
        .iter()
        .map(|output| replay::incident(output).unwrap())
        .collect()
}

#[test]
fn a_recording_gives_the_incidents_that_the_messages_gave() {
    let (file, told) = (recorded(release()), release().replay());
    assert!(!told.is_empty());
    assert_eq!(replayed(&file, None), told);
}

#[test]
fn without_the_event_of_the_root_it_is_another_and_less_sure() {
    let file = recorded(release());
    let before = replayed(&file, None).pop().unwrap();
    let root = before.root_cause().unwrap();
    assert_eq!(root.condition, "image_changed");
    let event = root.evidence[0].to_string();
    let after = replayed(&file, Some(&event)).pop().unwrap();
    assert_eq!(after.root_cause().unwrap().condition, NOT_OBSERVED);
    let sure = (before.confidence, after.confidence);
    assert!(sure.1 < sure.0, "{sure:?}");
    let stranger = bus_schema::EventId(1).to_string();
    assert_eq!(replayed(&file, Some(&stranger)).pop().unwrap(), before);
}

#[test]
fn without_an_entity_or_an_observer_nothing_of_it_is_told() {
    let file = recorded(release());
    let stock = release().replay()[0].steps[0].entity.key();
    assert_eq!(replayed(&file, Some(&stock)), []);
    assert_eq!(
        replayed(&file, Some("Deployment/shop/nobody")),
        replayed(&file, None)
    );
    let blind = replayed(&file, Some("deployments")).pop().unwrap();
    let seen = replayed(&file, None).pop().unwrap();
    let unseen = |incident: &Incident| {
        let mut candidates = incident.candidates.iter();
        let unseen = candidates.find(|candidate| candidate.condition == NOT_OBSERVED);
        unseen.map_or(0.0, |unseen| unseen.probability)
    };
    let first = seen.candidates.first().unwrap();
    assert_eq!(first.episode, seen.root_cause().map(|root| root.id));
    assert!((first.probability - seen.confidence).abs() < 1e-9 && !first.explains.is_empty());
    assert!(unseen(&blind) > 1.5 * unseen(&seen), "{:?}", blind.candidates);
    assert!(conditions(&blind).contains(&("stock", "image_changed")));
    assert!(blind.completeness.score < seen.completeness.score);
}
