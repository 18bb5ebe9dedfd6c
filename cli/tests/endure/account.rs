//! What observers have published, held against the numbers that they gave to their events.

use std::collections::{BTreeMap, BTreeSet};

use bus_client::Bus;
use bus_client::codec::Codec;
use bus_schema::event::Body;
use bus_schema::names::{EVENTS_STREAM, partition_stream};

use crate::server;

/// Sums over all observers of a raw stream.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Events that arrived.
    pub(crate) arrived: u64,
    /// Numbers below the highest that did not.
    pub(crate) missing: u64,
    /// Events that observers said were lost, by reason.
    pub(crate) losses: BTreeMap<String, u64>,
    /// Their sum.
    pub(crate) lost: u64,
    /// Who published.
    pub(crate) producers: BTreeSet<String>,
}

impl Account {
    pub(crate) async fn of(bus: &Bus) -> Self {
        let mut codec = Codec::new().unwrap();
        let mut account = Self::default();
        let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for message in server::messages(bus, &partition_stream(EVENTS_STREAM, 0)).await {
            let batch = codec.unpack(&message.payload).unwrap();
            let first = batch.header.first_sequence;
            let seen = numbers.entry(batch.header.producer()).or_default();
            for (number, event) in (first..).zip(&batch.events) {
                assert!(seen.insert(number), "event {number} is there twice");
                if let Body::Loss(loss) = &event.body {
                    *account.losses.entry(loss.reason.clone()).or_default() += event.count;
                }
            }
        }
        account.arrived = numbers.values().map(|seen| seen.len() as u64).sum();
        let due: u64 = numbers.values().filter_map(|seen| seen.last()).sum();
        account.missing = due - account.arrived;
        account.lost = account.losses.values().sum();
        account.producers = numbers.into_keys().collect();
        account
    }
}
