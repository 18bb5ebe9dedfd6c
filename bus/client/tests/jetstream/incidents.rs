//! The newest revisions of incidents, in bounded space.

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::DiscardPolicy;
use bus_client::streams;
use bus_schema::names::{INCIDENTS_BUCKET, INCIDENTS_BUCKET_MAX_BYTES, INCIDENTS_MAX_AGE};

use super::ready;
use crate::server::Server;

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
