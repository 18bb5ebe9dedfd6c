//! The bus on a real nats-server, which is killed, started again and tampered with.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "jetstream/checkpoints.rs"]
mod checkpoints;
#[path = "jetstream/connecting.rs"]
mod connecting;
#[path = "jetstream/incidents.rs"]
mod incidents;
#[path = "jetstream/leases.rs"]
mod leases;
#[path = "jetstream/provisioning.rs"]
mod provisioning;
#[path = "jetstream/roles.rs"]
mod roles;
#[path = "harness/server.rs"]
mod server;
#[path = "jetstream/topology.rs"]
mod topology;

use std::time::Duration;

use bus_client::losses::Losses;
use bus_client::publisher::{self, Outgoing, Publisher};
use bus_client::reader::{Item, Reader};
use bus_client::spool::Spool;
use bus_client::{Bus, streams};
use bus_schema::names::{EPISODES_STREAM, episodes_subject};
use server::Server;
use tokio::sync::mpsc;
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
