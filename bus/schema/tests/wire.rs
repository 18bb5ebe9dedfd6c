//! The bytes of every kind of event, and what readers do with batches that are older, newer, damaged or hostile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use bus_schema::batch::DecodeError;
use bus_schema::entity::{Address, Cgroup, Process, Workload};
use bus_schema::event::container::OomKill;
use bus_schema::event::kubernetes::ImageChanged;
use bus_schema::event::memory::MemoryGrowth;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Listening, Role, TcpStats};
use bus_schema::event::node::{Capability, Coverage, Loss, NodePressure};
use bus_schema::event::process::{Executable, ExecutableChanged, ProcessExited, SignalSent};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::event::{Body, Event, Kind, Trace};
use bus_schema::histogram::Log2;
use bus_schema::{Batch, Entity, EventId, Header, SCHEMA_VERSION, Severity};
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
    }
}

fn bodies() -> Vec<Body> {
    Kind::ALL.iter().map(|kind| body(*kind)).collect()
}

#[expect(clippy::too_many_lines, reason = "a table with one row per kind")]
fn body(kind: Kind) -> Body {
    let executable = |label: &str| Executable {
        path: format!("/srv/{label}/cache"),
        build_id: "00ff".into(),
        content_hash: "ab".into(),
        label: label.into(),
    };
    match kind {
        Kind::ConnectFailed => Body::ConnectFailed(ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 5,
        }),
        Kind::Listening => Body::Listening(Listening { open: true }),
        Kind::EdgeStats => Body::EdgeStats(EdgeStats {
            role: Role::Client,
            attempts: 9,
            established: 8,
            refused: 1,
            ..EdgeStats::default()
        }),
        Kind::TcpStats => Body::TcpStats(TcpStats {
            retransmits: Some(2),
            established: 7,
        }),
        Kind::HttpError => Body::HttpError(HttpError {
            role: Role::Server,
            status: 503,
            latency_ns: 6,
        }),
        Kind::HttpStats => Body::HttpStats(HttpStats {
            role: Role::Server,
            by_class: [0, 5, 0, 1, 2],
            latency: Log2(vec![0, 3]),
            ..HttpStats::default()
        }),
        Kind::MemoryGrowth => Body::MemoryGrowth(MemoryGrowth {
            usage_bytes: 9,
            start_bytes: 1,
            rate_bytes_per_second: 1.5,
            limit_bytes: Some(64),
            time_to_limit_ns: Some(7),
            fit: 0.5,
        }),
        Kind::ExecutableChanged => Body::ExecutableChanged(ExecutableChanged {
            old: executable("v1"),
            new: executable("v2"),
        }),
        Kind::SignalSent => Body::SignalSent(SignalSent {
            signal: 9,
            by_kernel: false,
        }),
        Kind::ProcessExited => Body::ProcessExited(ProcessExited {
            code: 0,
            signal: 9,
            core_dumped: false,
            main: true,
        }),
        Kind::OomKill => Body::OomKill(OomKill {
            trigger: Process::default(),
            limit_bytes: Some(64),
            usage_bytes: 64,
            rss_bytes: 63,
            limited_cgroup: "/a".into(),
            limit_unknown: false,
        }),
        Kind::ImageChanged => Body::ImageChanged(ImageChanged {
            container: "c".into(),
            old_image: "r:1".into(),
            new_image: "r:2".into(),
            generation: 2,
            manager: "kubectl-set".into(),
            rollback: false,
        }),
        Kind::NodePressure => Body::NodePressure(NodePressure {
            memory_some_avg10: Some(0.5),
            memory_total_bytes: 8,
            ..NodePressure::default()
        }),
        Kind::Loss => Body::Loss(Loss {
            observer: "network".into(),
            reason: "ring_buffer".into(),
        }),
        Kind::Capability => Body::Capability(Capability {
            observer: "network".into(),
            hook: "h".into(),
            rung: "tp_btf".into(),
            coverage: Coverage::Full,
            reason: String::new(),
        }),
    }
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
