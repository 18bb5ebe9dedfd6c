//! The bytes of every kind of event, and what readers do with batches that are older, newer, damaged or hostile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use bus_schema::batch::DecodeError;
use bus_schema::entity::{Address, Cgroup, Identity, Process, Workload};
use bus_schema::event::network::Listening;
use bus_schema::event::{Body, Event, Kind, Trace};
use bus_schema::topology::{MOUNTS, Related, Relations};
use bus_schema::{Batch, Entity, EventId, Header, SCHEMA_VERSION, Severity, samples};
use serde::Serialize;

const TIME_NS: u64 = 1_700_000_000_123_456_789;

fn header() -> Header {
    Header {
        schema: SCHEMA_VERSION,
        cluster: "lab".into(),
        node: "node-1".into(),
        boot: "b00t".into(),
        observer: "network".into(),
        first_sequence: 41,
        watermark_ns: TIME_NS,
        dropped_total: 3,
        received_ns: 4,
        leaving: false,
    }
}

fn bodies() -> Vec<Body> {
    Kind::ALL.iter().map(|kind| samples::body(*kind)).collect()
}

fn event(sequence: u64, body: Body) -> Event {
    let subject = Entity {
        process: Some(Process {
            pid: 4711,
            start_ns: 5,
            comm: "cache".into(),
            exe: String::new(),
        }),
        cgroup: Some(Cgroup {
            id: 77,
            path: "/shop/cache".into(),
        }),
        workload: Some(Workload {
            kind: "Cgroup".into(),
            namespace: "host".into(),
            name: "cache".into(),
        }),
        node: Some("node-1".into()),
        ..Entity::default()
    };
    let object = Entity::of_address(Address {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 6379,
        net_ns: 9,
    });
    Event {
        id: EventId::of_event(TIME_NS, "node-1", "b00t", "network", sequence),
        time_ns: TIME_NS,
        observed_ns: TIME_NS + 1,
        severity: Severity::Error,
        subject,
        object: Some(object),
        count: 2,
        window_ns: 1_000_000_000,
        trace: Some(Trace {
            trace_id: 0xabc,
            span_id: 0xdef,
        }),
        body,
    }
}

fn batch() -> Batch {
    let events = bodies()
        .into_iter()
        .zip(41..)
        .map(|(body, sequence)| event(sequence, body))
        .collect();
    Batch {
        header: header(),
        events,
        ..Batch::default()
    }
}

fn encoded(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    batch.encode(&mut bytes).unwrap();
    bytes
}

fn named(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

#[test]
fn every_kind_survives_the_wire() {
    let batch = batch();
    assert_eq!(Batch::decode(&encoded(&batch)).unwrap(), batch);
}

/// The digest of each kind's bytes. It changes only when the wire does, and then a reader of the old bytes must exist.
#[test]
fn golden_bytes_per_kind() {
    let golden = include_str!("golden.txt");
    let mut lines = String::new();
    for body in bodies() {
        write!(lines, "{} ", body.kind().token()).unwrap();
        for byte in named(&event(41, body)) {
            write!(lines, "{byte:02x}").unwrap();
        }
        lines.push('\n');
    }
    assert_eq!(lines, golden, "the wire changed; new golden bytes:\n{lines}");
}

#[test]
fn an_unknown_kind_is_skipped_and_counted_and_its_neighbours_are_read() {
    #[derive(Serialize)]
    struct Later {
        id: EventId,
        time: u64,
        kind: &'static str,
        body: (u8, Vec<&'static str>),
    }
    #[derive(Serialize)]
    struct Wire {
        schema: u16,
        first_sequence: u64,
        of_a_later_version: Option<u8>,
        events: (Event, Later, Event),
    }
    let neighbour = || event(1, Body::Listening(Listening { open: true }));
    let later = Later {
        id: EventId(1),
        time: 1,
        kind: "of_a_later_version",
        body: (1, vec!["x"]),
    };
    let bytes = named(&Wire {
        schema: 1,
        first_sequence: 1,
        of_a_later_version: Some(1),
        events: (neighbour(), later, neighbour()),
    });
    let batch = Batch::decode(&bytes).unwrap();
    assert_eq!(batch.events, [neighbour(), neighbour()]);
    assert_eq!(
        batch.unknown_kinds.into_iter().collect::<Vec<_>>(),
        [("of_a_later_version".to_owned(), 1)]
    );
}

#[test]
fn a_newer_schema_is_named_whatever_its_shape() {
    #[derive(Serialize)]
    struct Wire {
        schema: u16,
        events: &'static str,
    }
    let error = Batch::decode(&named(&Wire {
        schema: 99,
        events: "other",
    }))
    .unwrap_err();
    assert!(
        matches!(error, DecodeError::NewerSchema { found: 99 }),
        "{error:?}"
    );
    let error = Batch::decode(&named(&Wire {
        schema: 1,
        events: "other",
    }))
    .unwrap_err();
    assert!(matches!(error, DecodeError::Malformed(_)), "{error:?}");
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    let good = encoded(&batch());
    for length in 0..good.len() {
        assert!(Batch::decode(&good[..length]).is_err(), "cut to {length} bytes");
    }
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0xff;
        drop(Batch::decode(&damaged));
    }
    for more in [0x00, 0x91, 0xc0, 0xdb] {
        let longer = [good.as_slice(), &[more]].concat();
        let decoded = Batch::decode(&longer);
        assert!(
            matches!(decoded, Err(DecodeError::TrailingBytes)),
            "{more:#x}: {decoded:?}"
        );
    }
    assert!(Batch::decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
}

#[test]
fn a_heartbeat_carries_only_the_watermark() {
    let heartbeat = Batch {
        header: header(),
        ..Batch::default()
    };
    let read = Batch::decode(&encoded(&heartbeat)).unwrap();
    assert!(read.events.is_empty());
    assert_eq!(read.header.watermark_ns, TIME_NS);
}

/// A relation that holds, and one that has ended.
fn relations() -> Relations {
    let related = |name, until_ns| Related {
        to: Identity::new("ConfigMap", "shop", name),
        since_ns: TIME_NS,
        until_ns,
    };
    Relations {
        schema: SCHEMA_VERSION,
        cluster: "lab".into(),
        relation: MOUNTS.into(),
        from: Identity::new("Deployment", "shop", "redis"),
        told_ns: TIME_NS + 2,
        targets: vec![related("new", None), related("old", Some(TIME_NS + 1))],
        left_out: 0,
    }
}

#[test]
fn golden_bytes_of_relations() {
    let golden = include_str!("relations.txt");
    let text = relations()
        .encode()
        .unwrap()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
    assert_eq!(text, golden.trim_end(), "the wire changed");
    assert_eq!(
        Relations::decode(&relations().encode().unwrap()).unwrap(),
        relations()
    );
}

#[test]
fn relations_of_a_later_version_are_read_without_what_was_added_and_those_of_an_earlier_with_what_was_not() {
    #[derive(Serialize)]
    struct Wire {
        relation: &'static str,
        of_a_later_version: u8,
    }
    let read = Relations::decode(&named(&Wire {
        relation: MOUNTS,
        of_a_later_version: 1,
    }))
    .unwrap();
    assert_eq!((read.relation.as_str(), read.targets.len()), (MOUNTS, 0));
    assert!(!read.is_heartbeat() && !read.holds());
    assert!(relations().holds());
}
