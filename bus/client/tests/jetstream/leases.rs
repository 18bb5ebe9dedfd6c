//! Partitions shared by lease, and the bucket that holds the leases.

use bus_client::leases::Member;
use bus_client::{listing, streams};
use bus_schema::names::{LEASES_BUCKET, LEASES_MAX_BYTES, MAX_PARTITIONS};
use tokio::time::Instant;

use super::{PATIENCE, ready};
use crate::server::Server;

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
