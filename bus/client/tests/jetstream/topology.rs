//! The compacted stream of relations.

use std::time::Duration;

use bus_client::publisher::Outgoing;
use bus_client::reader::{Item, Reader};
use bus_client::{Bus, topology};
use bus_schema::names::{TOPOLOGY, TOPOLOGY_STREAM};

use super::{PATIENCE, ready};
use crate::server::Server;

fn message(subject: u64, text: &str) -> Outgoing {
    Outgoing {
        subject: format!("{TOPOLOGY}.mounts.{subject}"),
        message_id: None,
        events: 0,
        payload: text.as_bytes().to_vec().into(),
    }
}

async fn texts(bus: &Bus) -> Vec<String> {
    let messages = topology::newest(bus).await.unwrap();
    let texts = messages
        .iter()
        .map(|message| String::from_utf8(message.payload.to_vec()).unwrap());
    texts.collect()
}

#[tokio::test]
async fn the_newest_of_each_subject_is_kept_and_what_it_replaced_is_no_loss() {
    let server = Server::start();
    let bus = ready(&server).await;
    assert_eq!(texts(&bus).await, [] as [&str; 0], "nothing was told yet");
    for number in 0..3 {
        topology::put(&bus, &message(number, &format!("old {number}")), None)
            .await
            .unwrap();
    }
    let mut reader = Reader::new(&bus, TOPOLOGY_STREAM, 1).compacted();
    let mut plain = Reader::new(&bus, TOPOLOGY_STREAM, 1);
    for number in [1, 2] {
        topology::put(&bus, &message(number, &format!("new {number}")), None)
            .await
            .unwrap();
    }
    assert_eq!(texts(&bus).await, ["old 0", "new 1", "new 2"]);
    let next = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap();
    assert!(matches!(next, Item::Message(message) if message.sequence == 4));
    let next = tokio::time::timeout(PATIENCE, plain.next()).await.unwrap();
    assert!(
        matches!(next, Item::Gap { missed: 2 }),
        "another stream's reader: {next:?}"
    );
}

#[tokio::test]
async fn what_has_an_end_is_gone_after_it_and_what_it_replaced_does_not_come_back() {
    let server = Server::start();
    let bus = ready(&server).await;
    topology::put(&bus, &message(0, "holds"), None).await.unwrap();
    topology::put(&bus, &message(1, "held"), None).await.unwrap();
    topology::put(&bus, &message(1, "has ended"), Some(Duration::from_secs(1)))
        .await
        .unwrap();
    let gone = async { while texts(&bus).await != ["holds"] {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
