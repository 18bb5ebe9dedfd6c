//! The newest revisions of incidents, in bounded space, for whoever may only read.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::DiscardPolicy;
use bus_client::publisher::{Outgoing, publish};
use bus_client::reader::Reader;
use bus_client::{Bus, Config, streams};
use bus_schema::Severity;
use bus_schema::names::{
    EVENTS_STREAM, INCIDENTS_BUCKET, INCIDENTS_BUCKET_MAX_BYTES, INCIDENTS_MAX_AGE, INCIDENTS_STREAM,
    incidents_subject, partition_stream,
};
use futures_util::{FutureExt as _, StreamExt};

use super::{PATIENCE, read, ready};
use crate::server::Server;

const AUTHORIZATION: &str = include_str!("../../../../deploy/helm/tapio/files/authorization.conf");
const VALUE: usize = 8 * 1024;
const SMALL: i64 = 64 * 1024;

/// Puts more than fits; the keys that are left, and whether any was refused.
async fn overfill(store: &kv::Store) -> (Vec<u32>, bool) {
    let mut was_refused = false;
    for key in 0..20_u32 {
        let put = store.put(key.to_string(), vec![7; VALUE].into()).await;
        was_refused |= put.is_err();
    }
    let mut left = Vec::new();
    for key in 0..20_u32 {
        if store.get(key.to_string()).await.unwrap().is_some() {
            left.push(key);
        }
    }
    (left, was_refused)
}

#[tokio::test]
async fn a_full_bucket_of_incidents_loses_the_oldest_and_never_refuses_the_newest() {
    let server = Server::start();
    let bus = ready(&server).await;
    let store = streams::bucket(&bus, INCIDENTS_BUCKET).await.unwrap();
    let mut config = store.stream.get_info().await.unwrap().config;
    assert_eq!(
        (config.max_bytes, config.max_age, config.discard),
        (INCIDENTS_BUCKET_MAX_BYTES, INCIDENTS_MAX_AGE, DiscardPolicy::Old)
    );
    config.max_bytes = SMALL;
    bus.jetstream().update_stream(config).await.unwrap();
    let (left, was_refused) = overfill(&store).await;
    assert!(!was_refused);
    assert!(
        left.len() < 20 && left == (20 - u32::try_from(left.len()).unwrap()..20).collect::<Vec<_>>(),
        "{left:?}"
    );
    let of_the_library = kv::Config {
        bucket: "other".to_owned(),
        max_bytes: SMALL,
        ..kv::Config::default()
    };
    let other = bus.jetstream().create_key_value(of_the_library).await.unwrap();
    let (left, was_refused) = overfill(&other).await;
    assert!(was_refused && left.first() == Some(&0), "{left:?}");
}

/// A server with the users of the chart, each with the password `p`.
fn server() -> Server {
    let mut text = format!("jetstream {{}}\n{AUTHORIZATION}");
    for user in ["OBSERVER", "STAGE", "SINK", "READER"] {
        text = text.replace(&format!("password: $NATS_{user}"), "password: p");
    }
    assert!(!text.contains("$NATS_"), "all passwords are known");
    Server::with_config(&text)
}

/// Where replies to a user go.
fn inbox(user: &str) -> String {
    match user {
        "reader" => "_INBOX".to_owned(),
        role => format!("_INBOX_{role}"),
    }
}

async fn connect(server: &Server, user: &str) -> Bus {
    let config = Config {
        user: Some((user.to_owned(), "p".to_owned())),
        inbox_prefix: Some(inbox(user)),
        ..server.config()
    };
    Bus::connect_now(&config, PATIENCE).await.unwrap()
}

fn incident(number: u64) -> Outgoing {
    Outgoing {
        subject: incidents_subject(Severity::Error, "shop", "cache"),
        message_id: None,
        events: 1,
        payload: number.to_string().into_bytes().into(),
    }
}

#[tokio::test]
async fn who_may_only_read_reads_the_history_of_incidents_and_changes_nothing() {
    let server = server();
    let stage = connect(&server, "stage").await;
    streams::provision(&stage, 1).await.unwrap();
    for number in 0..3 {
        publish(&stage, &incident(number)).await.unwrap();
    }
    let reader = connect(&server, "reader").await;
    // As `nats sub 'tapio.incidents.>' --stream TAPIO_INCIDENTS --since 1h` asks.
    let stream = reader.jetstream().get_stream(INCIDENTS_STREAM).await.unwrap();
    let since = stream.cached_info().created - Duration::from_secs(3600);
    let consumer = stream
        .create_consumer(pull::Config {
            name: Some("of_a_person".to_owned()),
            filter_subject: "tapio.incidents.>".to_owned(),
            deliver_policy: DeliverPolicy::ByStartTime { start_time: since },
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for number in 0..3 {
        let next = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap();
        assert_eq!(next.unwrap().unwrap().payload, number.to_string().as_bytes());
    }
    stream.delete_consumer("of_a_person").await.unwrap();
    // As `tapio incidents --follow` asks.
    let mut history = Reader::new(&reader, INCIDENTS_STREAM, 0);
    assert_eq!(read(&mut history, 3).await, ["0", "1", "2"]);
    assert!(publish(&reader, &incident(3)).await.is_err());
    assert!(reader.jetstream().delete_stream(INCIDENTS_STREAM).await.is_err());
    assert!(stream.purge().await.is_err());
    let bucket = streams::bucket(&reader, INCIDENTS_BUCKET).await.unwrap();
    assert!(bucket.put("k", "v".into()).await.is_err());
    let raw = partition_stream(EVENTS_STREAM, 0);
    assert!(reader.jetstream().delete_stream(&raw).await.is_err());
    let mut info = stage.jetstream().get_stream(INCIDENTS_STREAM).await.unwrap();
    assert_eq!(
        info.info().await.unwrap().state.messages,
        3,
        "nothing was changed"
    );
}

/// Whether others hear what `user` publishes on `subject`.
async fn publishes(server: &Server, user: &str, subject: &str) -> bool {
    const LAST: &str = "tapio.events.9.last.last";
    let (listening, speaking) = (connect(server, "stage").await, connect(server, user).await);
    let mut heard = listening.client().subscribe(subject.to_owned()).await.unwrap();
    let mut last = listening.client().subscribe(LAST).await.unwrap();
    listening.jetstream().query_account().await.unwrap();
    speaking
        .client()
        .publish(subject.to_owned(), "x".into())
        .await
        .unwrap();
    // What a connection says and hears keeps its order; an observer may ask the server nothing.
    if user == "observer" {
        speaking.client().publish(LAST, "x".into()).await.unwrap();
        tokio::time::timeout(PATIENCE, last.next()).await.unwrap();
    } else {
        speaking.jetstream().query_account().await.unwrap();
    }
    listening.jetstream().query_account().await.unwrap();
    heard.next().now_or_never().flatten().is_some()
}

#[tokio::test]
async fn each_role_publishes_its_own_subjects_and_no_others() {
    let server = server();
    let subjects = [
        "tapio.events.7.node.memory",
        "tapio.enriched.7.memory",
        "tapio.episodes.0.all",
        "tapio.incidents.error.shop.cache",
    ];
    for (user, allowed) in [
        ("observer", [true, false, false, false]),
        ("stage", [true, true, true, true]),
        ("sink", [false, false, false, false]),
        ("reader", [false, false, false, false]),
    ] {
        let mut heard = Vec::new();
        for subject in subjects {
            heard.push(publishes(&server, user, subject).await);
        }
        assert_eq!(heard, allowed, "{user}");
    }
}

/// Whether `listener` hears what the server replies to `speaker`.
async fn overhears(server: &Server, listener: &str, speaker: &str) -> bool {
    let (listening, speaking) = (connect(server, listener).await, connect(server, speaker).await);
    let replies = format!("{}.>", inbox(speaker));
    let mut heard = listening.client().subscribe(replies).await.unwrap();
    listening.client().flush().await.unwrap();
    speaking.jetstream().get_stream(INCIDENTS_STREAM).await.unwrap();
    // All that the server had to say to the listener has come by the time it answers.
    listening.client().flush().await.unwrap();
    heard.next().now_or_never().flatten().is_some()
}

#[tokio::test]
async fn replies_to_one_role_reach_no_other() {
    let server = server();
    streams::provision(&connect(&server, "stage").await, 1)
        .await
        .unwrap();
    for listener in ["observer", "sink", "reader"] {
        assert!(!overhears(&server, listener, "stage").await, "{listener}");
    }
    assert!(!overhears(&server, "sink", "reader").await);
    assert!(overhears(&server, "stage", "stage").await, "a role hears its own");
}
