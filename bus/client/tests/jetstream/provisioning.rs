//! The streams that a process makes where they are missing, and those that it leaves alone.

use async_nats::jetstream::stream;
use bus_client::{Bus, Config, streams};
use bus_schema::names::EPISODES_STREAM;

use super::{PATIENCE, ready};
use crate::server::Server;

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
            "TAPIO_INCIDENTS",
            "TAPIO_TOPOLOGY"
        ]
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
