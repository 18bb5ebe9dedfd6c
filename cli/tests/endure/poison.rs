//! Messages that cannot be read are counted, complained about once, and skipped; the next one is read.

use std::collections::BTreeMap;

use bus_client::codec::Codec;
use bus_schema::batch::encode_events;
use bus_schema::episode::Report;
use bus_schema::event::container::OomKill;
use bus_schema::event::{Body, Event};
use bus_schema::names::{
    ENRICHED_STREAM, EPISODES_STREAM, EVENTS_STREAM, INCIDENTS_STREAM, enriched_subject, episodes_subject,
    events_subject, partition_stream, slot,
};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};

use crate::server;
use crate::stage::Stage;
use crate::story::Stages;
use crate::wait_for;

/// How often each bad message is published.
const TIMES: usize = 5;
const TIME_NS: u64 = 1_700_000_000_000_000_000;

pub(crate) fn header(first_sequence: u64) -> Header {
    Header {
        schema: SCHEMA_VERSION,
        cluster: "c".into(),
        node: "n".into(),
        boot: "b".into(),
        observer: "o".into(),
        first_sequence,
        watermark_ns: TIME_NS + first_sequence,
        dropped_total: 0,
        received_ns: 0,
        leaving: false,
    }
}

fn oom_kill(id: u128) -> Event {
    let mut subject = Entity::of_node("n");
    subject.workload = Some(bus_schema::entity::Workload {
        kind: "Cgroup".into(),
        namespace: "host".into(),
        name: "w".into(),
    });
    Event {
        id: EventId(id),
        time_ns: TIME_NS,
        observed_ns: TIME_NS,
        severity: Severity::Critical,
        subject,
        object: None,
        count: 1,
        window_ns: 0,
        trace: None,
        body: Body::OomKill(OomKill::default()),
    }
}

pub(crate) fn batch(header: &Header) -> Vec<u8> {
    let event = oom_kill(u128::from(header.first_sequence));
    Codec::new().unwrap().pack(header, &[event]).unwrap()
}

fn garbage() -> Vec<u8> {
    b"\xc1 this is no MessagePack".to_vec()
}

fn of_a_newer_schema(first_sequence: u64) -> Vec<u8> {
    batch(&Header {
        schema: SCHEMA_VERSION + 1,
        ..header(first_sequence)
    })
}

/// The same bytes, but the kind is one that nobody knows.
fn of_an_unknown_kind(first_sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let event = oom_kill(u128::from(first_sequence));
    encode_events(&header(first_sequence), &[event], &mut bytes).unwrap();
    let place = bytes.windows(8).position(|window| window == b"oom_kill").unwrap();
    bytes[place..place + 8].copy_from_slice(b"oom_kilt");
    bytes
}

pub(crate) async fn publish(stages: &Stages, subject: &str, payload: Vec<u8>) {
    let plain = async_nats::connect(stages.server.url()).await.unwrap();
    plain.publish(subject.to_owned(), payload.into()).await.unwrap();
    plain.flush().await.unwrap();
}

/// Publishes the three bad messages, several times each, and a good one after them.
async fn poison(stages: &Stages, subject: &str) {
    for time in 1..=TIMES as u64 {
        publish(stages, subject, garbage()).await;
        publish(stages, subject, of_a_newer_schema(time)).await;
        publish(stages, subject, of_an_unknown_kind(time)).await;
    }
    publish(stages, subject, batch(&header(100))).await;
}

fn complaints(stage: &Stage, kind: &str) -> usize {
    let log = stage.log();
    let lines = log.lines().filter(|line| line.contains("message skipped"));
    lines.filter(|line| line.contains(kind)).count()
}

fn is_counted_and_said_once(stage: &Stage) {
    for kind in ["undecodable", "newer_schema", "unknown_kind"] {
        let reason = format!("reason=\"{kind}\"");
        assert_eq!(stage.metric(&["events_dropped", &reason]), TIMES as u64, "{kind}");
        assert_eq!(complaints(stage, kind), 1, "{kind}\n{}", stage.log());
    }
}

/// Waits until the event of that number is in a stream of batches.
pub(crate) async fn arrives(stages: &Stages, number: u64, stream: &str) {
    let stream = partition_stream(stream, 0);
    wait_for(&format!("event {number} is in {stream}"), async || {
        let mut codec = Codec::new().unwrap();
        let messages = server::messages(&stages.bus, &stream).await;
        let batches = messages
            .iter()
            .filter_map(|message| codec.unpack(&message.payload).ok());
        batches
            .flat_map(|batch| batch.events)
            .any(|event| event.id == EventId(u128::from(number)))
    })
    .await;
}

#[tokio::test]
async fn an_enricher_reads_on_after_what_it_cannot_read() {
    let stages = Stages::start().await;
    poison(&stages, &events_subject("n", "memory")).await;
    arrives(&stages, 100, EVENTS_STREAM).await;
    arrives(&stages, 100, ENRICHED_STREAM).await;
    is_counted_and_said_once(&stages.enricher);
    wait_for("the loss of each bad message is told", async || {
        // Losses are told with what follows them.
        let next = server::last_sequence(&stages.bus, &partition_stream(EVENTS_STREAM, 0)).await;
        publish(
            &stages,
            &events_subject("n", "memory"),
            batch(&header(100 + next)),
        )
        .await;
        losses_of_enricher(&stages).await == expected_losses()
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_speaks_for_another_node_than_its_subject_is_refused() {
    let stages = Stages::start().await;
    for time in 1..=TIMES as u64 {
        publish(&stages, &events_subject("other", "memory"), batch(&header(time))).await;
    }
    publish(&stages, &events_subject("n", "memory"), batch(&header(100))).await;
    arrives(&stages, 100, ENRICHED_STREAM).await;
    let refused = stages
        .enricher
        .metric(&["events_dropped", "reason=\"foreign_node\""]);
    assert_eq!(refused, TIMES as u64);
    assert_eq!(complaints(&stages.enricher, "foreign_node"), 1);
    let mut codec = Codec::new().unwrap();
    for message in server::messages(&stages.bus, &partition_stream(ENRICHED_STREAM, 0)).await {
        let events = codec.unpack(&message.payload).unwrap().events;
        let foreign = |event: &Event| matches!(event.body, Body::OomKill(_)) && event.id != EventId(100);
        assert!(!events.iter().any(foreign), "{events:?}");
    }
}

fn expected_losses() -> BTreeMap<String, u64> {
    let kinds = ["undecodable", "newer_schema", "unknown_kind"];
    kinds.map(|kind| (kind.to_owned(), TIMES as u64)).into()
}

/// What the enricher says it lost, by reason.
async fn losses_of_enricher(stages: &Stages) -> BTreeMap<String, u64> {
    let (mut codec, mut lost) = (Codec::new().unwrap(), BTreeMap::new());
    for message in server::messages(&stages.bus, &partition_stream(ENRICHED_STREAM, 0)).await {
        for event in codec.unpack(&message.payload).unwrap().events {
            if let Body::Loss(loss) = event.body {
                *lost.entry(loss.reason).or_default() += event.count;
            }
        }
    }
    lost
}

/// What the first correlator step says it lost, by reason.
async fn losses_of_episodes(stages: &Stages) -> BTreeMap<String, u64> {
    let mut lost = BTreeMap::new();
    for message in server::messages(&stages.bus, EPISODES_STREAM).await {
        let blindness = Report::decode(&message.payload).unwrap().blindness;
        for (loss, count) in blindness.into_iter().filter_map(|told| told.loss) {
            *lost.entry(loss.reason).or_default() += count;
        }
    }
    lost
}

#[tokio::test]
async fn a_correlator_reads_on_after_what_it_cannot_read() {
    let stages = Stages::start().await;
    poison(&stages, &enriched_subject(slot("w"), "memory")).await;
    wait_for("the good event becomes an episode", async || {
        server::last_sequence(&stages.bus, EPISODES_STREAM).await > 0
    })
    .await;
    is_counted_and_said_once(&stages.correlator);
    wait_for("the loss of each bad message is told", async || {
        let next = server::last_sequence(&stages.bus, &partition_stream(ENRICHED_STREAM, 0)).await;
        let subject = enriched_subject(slot("w"), "memory");
        let later = Header {
            watermark_ns: TIME_NS + next * 1_000_000_000,
            ..header(100 + next)
        };
        publish(&stages, &subject, batch(&later)).await;
        losses_of_episodes(&stages).await == expected_losses()
    })
    .await;
    publish(&stages, &episodes_subject(0, "mixed"), garbage()).await;
    publish(
        &stages,
        &enriched_subject(slot("w"), "memory"),
        batch(&header(100_000)),
    )
    .await;
    wait_for("the episodes lead to an incident after the garbage", async || {
        server::last_sequence(&stages.bus, INCIDENTS_STREAM).await > 0
    })
    .await;
}
