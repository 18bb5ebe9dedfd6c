//! What each user of the chart may do on the bus.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bus_client::publisher::{Outgoing, publish};
use bus_client::reader::Reader;
use bus_client::{Bus, Config, streams};
use bus_schema::Severity;
use bus_schema::names::{
    EVENTS_STREAM, INCIDENTS_BUCKET, INCIDENTS_STREAM, incidents_subject, partition_stream,
};
use futures_util::{FutureExt as _, StreamExt};

use super::{PATIENCE, read};
use crate::server::Server;

const AUTHORIZATION: &str = include_str!("../../../../deploy/helm/tapio/files/authorization.conf");

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
        "tapio.topology.mounts.deployment_shop_cache",
    ];
    for (user, allowed) in [
        ("observer", [true, false, false, false, false]),
        ("stage", [true, true, true, true, true]),
        ("sink", [false, false, false, false, false]),
        ("reader", [false, false, false, false, false]),
    ] {
        let mut heard = Vec::new();
        for subject in subjects {
            heard.push(publishes(&server, user, subject).await);
        }
        assert_eq!(heard, allowed, "{user}");
    }
}

/// All that the server had to say to a user has come by the time it answers. An observer may ask it nothing.
async fn has_answered(bus: &Bus, user: &str) {
    if user == "observer" {
        bus.client().flush().await.unwrap();
    } else {
        bus.jetstream().query_account().await.unwrap();
    }
}

/// Whether `listener` hears what the server replies to `speaker`.
async fn overhears(server: &Server, listener: &str, speaker: &str) -> bool {
    let (listening, speaking) = (connect(server, listener).await, connect(server, speaker).await);
    let replies = format!("{}.>", inbox(speaker));
    let mut heard = listening.client().subscribe(replies).await.unwrap();
    has_answered(&listening, listener).await;
    speaking.jetstream().get_stream(INCIDENTS_STREAM).await.unwrap();
    has_answered(&listening, listener).await;
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
