//! Checkpoints: any state, one writer, no leftovers, and a way on from what is damaged.

use async_nats::jetstream::kv::Store;
use bus_client::checkpoints::{Checkpoint, Checkpoints, Error};
use bus_client::{Bus, streams};
use bus_schema::names::CHECKPOINTS_BUCKET;

use crate::ready;
use crate::server::Server;

/// A state that does not compress, different for each seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = seed;
    let next = |_| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.to_be_bytes()[0]
    };
    (0..bytes).map(next).collect()
}

/// Takes several pieces.
fn large(sequence: u64) -> Checkpoint {
    let state = noise(sequence, 1_500_000);
    Checkpoint { sequence, state }
}

fn small(sequence: u64) -> Checkpoint {
    let state = noise(sequence, 1_000);
    Checkpoint { sequence, state }
}

async fn holder(bus: &Bus, epoch: u64) -> Checkpoints {
    Checkpoints::open(bus, "stage", 0, epoch).await.unwrap()
}

/// What a later holder finds.
async fn last(bus: &Bus) -> Result<Option<Checkpoint>, Error> {
    holder(bus, 100).await.read().await
}

async fn bucket(bus: &Bus) -> Store {
    streams::bucket(bus, CHECKPOINTS_BUCKET).await.unwrap()
}

/// Entries in the bucket, as the server counts them.
async fn entries(bus: &Bus) -> u64 {
    bucket(bus).await.status().await.unwrap().info.state.messages
}

#[tokio::test]
async fn a_state_of_any_size_is_read_as_it_was_written_and_leaves_nothing_behind() {
    let server = Server::start();
    let bus = ready(&server).await;
    assert_eq!(last(&bus).await.unwrap(), None);
    let mut writer = holder(&bus, 1).await;
    let none = Checkpoint {
        sequence: 1,
        state: Vec::new(),
    };
    for (checkpoint, most_entries) in [
        (none, 1),
        (small(2), 1),
        (large(3), 3),
        (large(4), 3),
        (small(5), 1),
        (large(6), 3),
    ] {
        writer.write(&checkpoint).await.unwrap();
        assert!(
            entries(&bus).await <= most_entries,
            "after {}",
            checkpoint.sequence
        );
        assert_eq!(last(&bus).await.unwrap(), Some(checkpoint));
    }
    let mut next = holder(&bus, 2).await;
    next.read().await.unwrap();
    next.write(&small(7)).await.unwrap();
    assert_eq!(entries(&bus).await, 1, "the pieces of the former holder are gone");
}

#[tokio::test]
async fn a_holder_of_the_past_neither_writes_nor_harms() {
    let server = Server::start();
    let bus = ready(&server).await;
    let mut old = holder(&bus, 1).await;
    old.write(&large(7)).await.unwrap();
    let mut new = holder(&bus, 2).await;
    assert_eq!(new.read().await.unwrap(), Some(large(7)));
    old.write(&large(8)).await.unwrap();
    new.write(&large(9)).await.unwrap();
    assert_eq!(
        last(&bus).await.unwrap(),
        Some(large(9)),
        "the later lease has the last word"
    );
    let refused = old.write(&large(10)).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused}");
    assert_eq!(last(&bus).await.unwrap(), Some(large(9)));
    new.write(&large(11)).await.unwrap();
    assert_eq!(entries(&bus).await, 3, "what the old one had begun is gone");
}

#[tokio::test]
async fn a_write_whose_acknowledgement_was_lost_does_not_stop_the_next() {
    let server = Server::start();
    let bus = ready(&server).await;
    let mut writer = holder(&bus, 1).await;
    writer.write(&large(1)).await.unwrap();
    // The same holder as the server sees it, but without its memory.
    let mut unheard = holder(&bus, 1).await;
    unheard.read().await.unwrap();
    unheard.write(&large(2)).await.unwrap();
    writer.write(&large(3)).await.unwrap();
    assert_eq!(last(&bus).await.unwrap(), Some(large(3)));
}

#[tokio::test]
async fn what_is_damaged_says_so_and_is_replaced() {
    let server = Server::start();
    let bus = ready(&server).await;
    let bucket = bucket(&bus).await;
    let mut writer = holder(&bus, 1).await;
    writer.write(&large(1)).await.unwrap();
    let piece = "stage.0.piece.1.1.0";
    let mut bytes = bucket.get(piece).await.unwrap().unwrap().to_vec();
    bytes[1_000] ^= 1;
    bucket.put(piece, bytes.into()).await.unwrap();
    let error = last(&bus).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { sequence: 1, .. }), "{error}");
    writer.write(&large(2)).await.unwrap();
    assert_eq!(last(&bus).await.unwrap(), Some(large(2)));

    bucket.put("stage.0", "no head".into()).await.unwrap();
    let error = last(&bus).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { sequence: 0, .. }), "{error}");
    writer.write(&large(3)).await.unwrap();
    assert_eq!(last(&bus).await.unwrap(), Some(large(3)));

    bucket.purge("stage.0").await.unwrap();
    assert_eq!(last(&bus).await.unwrap(), None);
    writer.write(&small(4)).await.unwrap();
    assert_eq!(last(&bus).await.unwrap(), Some(small(4)));
}
