//! The bus on a real nats-server, which is killed, started again and tampered with.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "jetstream/checkpoints.rs"]
mod checkpoints;
#[path = "jetstream/incidents.rs"]
mod incidents;
#[path = "harness/server.rs"]
mod server;

use std::time::Duration;

use async_nats::jetstream::stream;
use bus_client::leases::Member;
use bus_client::losses::Losses;
use bus_client::publisher::{self, Outgoing, Publisher};
use bus_client::reader::{Item, Reader};
use bus_client::spool::Spool;
use bus_client::{Bus, Config, connection, listing, streams};
use bus_schema::names::{EPISODES_STREAM, LEASES_BUCKET, LEASES_MAX_BYTES, MAX_PARTITIONS, episodes_subject};
use server::Server;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

async fn ready(server: &Server) -> Bus {
    let bus = server.connect().await;
    streams::provision(&bus, 2).await.unwrap();
    bus
}

fn message(number: u64) -> Outgoing {
    let payload = number.to_string().into_bytes().into();
    Outgoing {
        subject: episodes_subject(0, "test"),
        message_id: Some(format!("m{number}")),
        events: 1,
        payload,
    }
}

/// The bodies of the next `count` messages.
async fn read(reader: &mut Reader, count: u64) -> Vec<String> {
    let mut bodies = Vec::new();
    let all = async {
        while (bodies.len() as u64) < count {
            if let Item::Message(message) = reader.next().await {
                bodies.push(String::from_utf8(message.payload.to_vec()).unwrap());
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    bodies
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn streams_of_another_number_of_partitions_are_refused_and_other_limits_are_not() {
    let server = Server::start();
    let bus = server.connect().await;
    let smaller = stream::Config {
        name: EPISODES_STREAM.to_owned(),
        subjects: vec!["tapio.episodes.>".to_owned()],
        max_messages: 5,
        ..stream::Config::default()
    };
    bus.jetstream().create_stream(smaller).await.unwrap();
    streams::provision(&bus, 2).await.unwrap();
    let mut episodes = bus.jetstream().get_stream(EPISODES_STREAM).await.unwrap();
    assert_eq!(episodes.info().await.unwrap().config.max_messages, 5);
    for partitions in [1, 4] {
        let error = streams::provision(&bus, partitions).await.unwrap_err();
        assert!(
            matches!(error, streams::Error::OtherSubjects { .. }),
            "{partitions}: {error}"
        );
    }
}

#[tokio::test]
async fn provisioning_twice_is_the_same_as_once() {
    let server = Server::start();
    let bus = ready(&server).await;
    streams::provision(&bus, 2).await.unwrap();
    let mut names: Vec<String> = futures_util::TryStreamExt::try_collect(bus.jetstream().stream_names())
        .await
        .unwrap();
    names.retain(|name| !name.starts_with("KV_"));
    names.sort();
    assert_eq!(
        names,
        [
            "TAPIO_ENRICHED_0",
            "TAPIO_ENRICHED_1",
            "TAPIO_EPISODES",
            "TAPIO_EVENTS_0",
            "TAPIO_EVENTS_1",
            "TAPIO_INCIDENTS"
        ]
    );
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_server_is_killed_and_comes_back() {
    let mut server = Server::start();
    let bus = ready(&server).await;
    let losses = Losses::default();
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20, losses.clone()).unwrap();
    let (sender, queue) = mpsc::channel(16);
    let publisher = tokio::spawn(
        Publisher::new(bus.clone(), Some(spool), losses.clone()).run(queue, CancellationToken::new()),
    );
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    for number in 0..50 {
        sender.send(message(number)).await.unwrap();
    }
    assert_eq!(read(&mut reader, 25).await, numbers(25));
    server.kill();
    for number in 50..100 {
        sender.send(message(number)).await.unwrap();
    }
    server.restart();
    for number in 100..150 {
        sender.send(message(number)).await.unwrap();
    }
    drop(sender);
    assert_eq!(read(&mut reader, 125).await, numbers(150)[25..]);
    tokio::time::timeout(PATIENCE, publisher).await.unwrap().unwrap();
    assert!(losses.take().is_empty());
    let stored = bus
        .jetstream()
        .get_stream(EPISODES_STREAM)
        .await
        .unwrap()
        .cached_info()
        .state
        .messages;
    assert_eq!(stored, 150, "each once");
}

#[tokio::test]
async fn what_could_not_be_sent_before_the_end_is_sent_by_the_next_run() {
    let mut server = Server::start();
    let bus = ready(&server).await;
    server.kill();
    let folder = tempfile::tempdir().unwrap();
    let (sender, queue) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let spool = Spool::open(folder.path(), 1 << 20, Losses::default()).unwrap();
    let first = tokio::spawn(Publisher::new(bus, Some(spool), Losses::default()).run(queue, stop.clone()));
    for number in 0..10 {
        sender.send(message(number)).await.unwrap();
    }
    drop(sender);
    stop.cancel();
    first.await.unwrap();
    server.restart();
    let bus = ready(&server).await;
    let spool = Spool::open(folder.path(), 1 << 20, Losses::default()).unwrap();
    assert!(!spool.is_empty());
    let (sender, queue) = mpsc::channel(16);
    sender.send(message(10)).await.unwrap();
    drop(sender);
    Publisher::new(bus.clone(), Some(spool), Losses::default())
        .run(queue, CancellationToken::new())
        .await;
    let bodies = read(&mut Reader::new(&bus, EPISODES_STREAM, 0), 11).await;
    let mut sorted = bodies.clone();
    sorted.sort_by_key(|body| body.parse::<u64>().unwrap());
    assert_eq!((bodies.last(), sorted), (Some(&"10".to_owned()), numbers(11)));
}

#[tokio::test]
async fn a_batch_on_its_way_that_is_moved_to_disk_takes_no_other_with_it() {
    let server = Server::start();
    let bus = ready(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let (losses, stop) = (Losses::default(), CancellationToken::new());
    let spool = Spool::open(folder.path(), 1 << 20, losses.clone()).unwrap();
    let (sender, queue) = mpsc::channel(1);
    // Room for two of these in memory: the third moves the first to disk while it is on its way.
    let publisher = Publisher::new(bus.clone(), Some(spool), losses.clone()).buffering(2);
    let publisher = tokio::spawn(publisher.run(queue, stop));
    server.signal("STOP");
    for number in 0..6 {
        sender.send(message(number)).await.unwrap();
    }
    drop(sender);
    server.signal("CONT");
    publisher.await.unwrap();
    let bodies = read(&mut Reader::new(&bus, EPISODES_STREAM, 0), 6).await;
    let mut sorted = bodies.clone();
    sorted.sort();
    assert_eq!(sorted, numbers(6));
    assert!(losses.take().is_empty());
}

#[tokio::test]
async fn what_the_bus_never_takes_is_counted_and_the_next_is_sent() {
    let server = Server::start();
    let bus = ready(&server).await;
    let losses = Losses::default();
    let (sender, queue) = mpsc::channel(2);
    let too_large = Outgoing {
        payload: vec![0; 2 << 20].into(),
        events: 7,
        ..message(0)
    };
    sender.send(too_large).await.unwrap();
    sender.send(message(1)).await.unwrap();
    drop(sender);
    let (progress, told) = std::sync::mpsc::channel();
    Publisher::new(bus.clone(), None, losses.clone())
        .watched_by(move |got_on| progress.send(got_on).unwrap())
        .run(queue, CancellationToken::new())
        .await;
    assert_eq!(read(&mut Reader::new(&bus, EPISODES_STREAM, 0), 1).await, ["1"]);
    let told: Vec<_> = told.iter().collect();
    assert_eq!(
        told.iter().map(|got_on| got_on.sent).sum::<u64>(),
        1,
        "what the server confirmed"
    );
    assert_eq!(told.last().unwrap().waiting, 0);
    assert_eq!(losses.take().into_iter().collect::<Vec<_>>(), [("too_large", 7)]);
}

#[tokio::test]
async fn a_reader_goes_on_after_its_consumer_was_deleted_and_reports_what_was_purged() {
    let server = Server::start();
    let bus = ready(&server).await;
    for number in 0..10 {
        publisher::publish(&bus, &message(number)).await.unwrap();
    }
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    assert_eq!(read(&mut reader, 5).await, numbers(5));
    let stream = bus.jetstream().get_stream(EPISODES_STREAM).await.unwrap();
    let consumers: Vec<String> = futures_util::TryStreamExt::try_collect(stream.consumer_names())
        .await
        .unwrap();
    for consumer in consumers {
        stream.delete_consumer(&consumer).await.unwrap();
    }
    publisher::publish(&bus, &message(10)).await.unwrap();
    assert_eq!(read(&mut reader, 6).await, numbers(11)[5..]);
    publisher::publish(&bus, &message(11)).await.unwrap();
    publisher::publish(&bus, &message(12)).await.unwrap();
    stream.purge().sequence(13).await.unwrap();
    let mut late = Reader::new(&bus, EPISODES_STREAM, 11);
    let gap = tokio::time::timeout(PATIENCE, late.next()).await.unwrap();
    assert!(matches!(gap, Item::Gap { missed: 1 }), "{gap:?}");
}

#[tokio::test]
async fn what_is_removed_while_a_reader_lags_behind_is_reported_once() {
    const SENT: u64 = 1_500;
    let server = Server::start();
    let bus = ready(&server).await;
    // More than a reader is given beforehand.
    for number in 0..SENT {
        publisher::publish(&bus, &message(number)).await.unwrap();
    }
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    assert_eq!(read(&mut reader, 1).await, numbers(1));
    let stream = bus.jetstream().get_stream(EPISODES_STREAM).await.unwrap();
    stream.purge().sequence(SENT).await.unwrap();
    let (mut read, mut missed) = (1, Vec::new());
    while reader.cursor() < SENT {
        match tokio::time::timeout(PATIENCE, reader.next()).await.unwrap() {
            Item::Message(_) => read += 1,
            Item::Gap { missed: gap } => missed.push(gap),
        }
    }
    assert_eq!(missed.len(), 1);
    assert_eq!(read + missed[0], SENT);
}

#[tokio::test]
async fn partitions_are_shared_and_those_of_the_dead_move() {
    let server = Server::start();
    let bus = ready(&server).await;
    let mut first = Member::new(&bus, "stage", "first", 4).await.unwrap();
    assert_eq!(first.round(Instant::now()).await.gained.len(), 4);
    let mut second = Member::new(&bus, "stage", "second", 4).await.unwrap();
    assert!(
        second.round(Instant::now()).await.gained.is_empty(),
        "all are held"
    );
    let surplus = first.round(Instant::now()).await.surplus;
    assert_eq!(surplus.len(), 2);
    for partition in surplus {
        first.release(partition).await;
    }
    let gained = second.round(Instant::now()).await.gained;
    assert_eq!(gained.len(), 2);
    drop(first);
    let died = Instant::now();
    let mut moved = Vec::new();
    let mut rounds = tokio::time::interval(second.interval());
    while moved.len() < 2 {
        rounds.tick().await;
        moved.extend(second.round(Instant::now()).await.gained);
        assert!(died.elapsed() < PATIENCE);
    }
    assert!(
        moved
            .iter()
            .all(|lease| gained.iter().all(|other| other.partition != lease.partition))
    );
    assert!(moved.iter().all(|lease| lease.epoch > 0));
}

#[tokio::test]
async fn the_leases_of_the_largest_installation_fit_twice() {
    let server = Server::start();
    let bus = ready(&server).await;
    let mut gained = 0;
    for stage in ["enricher", "episodes", "causes"] {
        for name in 0..u32::from(MAX_PARTITIONS) {
            let name = format!("tapio-{stage}-{name:048}");
            let mut member = Member::new(&bus, stage, &name, MAX_PARTITIONS).await.unwrap();
            gained += member.round(Instant::now()).await.gained.len();
        }
    }
    assert_eq!(gained, 3 * usize::from(MAX_PARTITIONS));
    let store = streams::bucket(&bus, LEASES_BUCKET).await.unwrap();
    let bytes = store.stream.get_info().await.unwrap().state.bytes;
    assert!(
        (1..=u64::try_from(LEASES_MAX_BYTES).unwrap() / 2).contains(&bytes),
        "{bytes}"
    );
}

#[tokio::test]
async fn live_keys_are_listed_and_no_consumer_is_left_with_the_server() {
    let server = Server::start();
    let bus = ready(&server).await;
    let store = streams::bucket(&bus, LEASES_BUCKET).await.unwrap();
    assert_eq!(listing::keys(&bus, &store, "a.>").await.unwrap(), [""; 0]);
    for key in ["a.lease.1", "a.lease.2", "a.member.x", "b.lease.1"] {
        store.put(key, "".into()).await.unwrap();
    }
    store.delete("a.lease.2").await.unwrap();
    let mut keys = listing::keys(&bus, &store, "a.>").await.unwrap();
    keys.sort();
    assert_eq!(keys, ["a.lease.1", "a.member.x"]);
    let consumers = async || store.stream.get_info().await.unwrap().state.consumer_count;
    assert_eq!(consumers().await, 0);
    assert!(store.keys().await.is_ok());
    assert_eq!(consumers().await, 1, "what the bucket's own listing leaves");
}

#[tokio::test]
async fn keys_of_no_bucket_are_an_error() {
    let server = Server::start();
    let bus = ready(&server).await;
    let store = streams::bucket(&bus, LEASES_BUCKET).await.unwrap();
    bus.jetstream().delete_key_value(LEASES_BUCKET).await.unwrap();
    let listed = tokio::time::timeout(PATIENCE, listing::keys(&bus, &store, ">")).await;
    assert!(listed.unwrap().is_err());
}

#[tokio::test]
async fn a_reader_from_now_on_begins_with_the_next_message_or_not_at_all() {
    let mut server = Server::start();
    let bus = server.connect().await;
    let mut before = Reader::from_now(&bus, EPISODES_STREAM).await.unwrap();
    streams::provision(&bus, 1).await.unwrap();
    publisher::publish(&bus, &message(0)).await.unwrap();
    let mut after = Reader::from_now(&bus, EPISODES_STREAM).await.unwrap();
    publisher::publish(&bus, &message(1)).await.unwrap();
    assert_eq!(read(&mut before, 2).await, numbers(2));
    assert_eq!(read(&mut after, 1).await, ["1"]);
    server.kill();
    assert!(Reader::from_now(&bus, EPISODES_STREAM).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_one_sentence_within_the_patience() {
    let mut server = Server::start();
    server.kill();
    let error = Bus::connect_now(&server.config(), Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error, connection::Error::Unreachable { .. }));
    assert!(
        error
            .to_string()
            .starts_with("no connection to NATS at nats://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn whom_a_server_refuses_is_told_so() {
    let server = Server::with_config("authorization { user: reader, password: right }");
    let config = Config {
        user: Some(("reader".into(), "wrong".into())),
        ..server.config()
    };
    let error = Bus::connect_now(&config, Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .to_lowercase()
            .contains("authorization violation"),
        "{error}"
    );
}

#[tokio::test]
async fn streams_are_asked_for_in_as_many_copies_as_told() {
    let server = Server::start();
    let copies = |stream_replicas| Config {
        stream_replicas,
        ..server.config()
    };
    let three = Bus::connect_now(&copies(3), PATIENCE).await.unwrap();
    let refused = streams::provision(&three, 1).await.unwrap_err();
    assert!(matches!(refused, streams::Error::Stream { .. }), "{refused}");
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("replicas"), "a server alone keeps one: {why}");
    let one = Bus::connect_now(&copies(1), PATIENCE).await.unwrap();
    streams::provision(&one, 1).await.unwrap();
}
