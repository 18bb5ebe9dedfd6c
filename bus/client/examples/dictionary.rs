//! Trains the dictionary that small batches are compressed with, and writes it to the file that is named:
//! `cargo run -p bus-client --example dictionary -- bus/client/src/codec/1.dictionary`.
//!
//! What repeats in every batch are the names of its fields and the shape of its numbers; names of nodes, workloads and
//! processes are made up here, another one each time, so that none gets into the dictionary. The same source gives the same
//! dictionary. One that was ever released stays as it is, since what was compressed with it needs it.

use std::net::{IpAddr, Ipv4Addr};

use bus_schema::entity::{Address, CGROUP_KIND, Cgroup, HOST_NAMESPACE, Process, Workload};
use bus_schema::event::Kind;
use bus_schema::event::network::EdgeStats;
use bus_schema::family::FAMILIES;
use bus_schema::histogram::Log2;
use bus_schema::samples::body;
use bus_schema::{Batch, Body, Entity, Event, EventId, Header, SCHEMA_VERSION, Severity};

const BATCHES: u64 = 4000;
/// Twice as much shortens batches by no more than a hundredth.
const DICTIONARY_BYTES: usize = 8192;
const SECOND_NS: u64 = 1_000_000_000;
/// Some moment of the years in which batches are sent; of a time, the last five bytes change within minutes.
const YEARS_NS: u64 = 1_700_000_000 * SECOND_NS;
/// Events of a node whose edges are summed up once a second.
const SIZES: [u64; 4] = [2, 8, 16, 32];

/// Numbers that have nothing to do with each other (splitmix64, Steele, Lea and Flood 2014).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> Option<T> {
        let index = usize::try_from(self.below(things.len() as u64)).ok()?;
        things.get(index).copied()
    }

    fn word(&mut self) -> String {
        let length = usize::try_from(3 + self.below(12)).unwrap_or(3);
        let letters = (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0)));
        letters.collect()
    }

    fn workload(&mut self) -> Workload {
        let kinds = [CGROUP_KIND, "Deployment", "StatefulSet", "DaemonSet", "Unit"];
        let kind = self.one_of(&kinds).unwrap_or(CGROUP_KIND);
        let is_host = matches!(kind, CGROUP_KIND | "Unit");
        Workload {
            kind: kind.to_owned(),
            namespace: if is_host {
                HOST_NAMESPACE.to_owned()
            } else {
                self.word()
            },
            name: self.word(),
        }
    }

    fn entity(&mut self, is_single: bool) -> Entity {
        let process = Process {
            pid: u32::try_from(self.below(4_000_000)).unwrap_or(0),
            start_ns: YEARS_NS + self.below(1 << 56),
            comm: self.word(),
            exe: format!("/{}/{}", self.word(), self.word()),
        };
        let cgroup = Cgroup {
            id: self.below(1 << 17),
            path: format!("/{}/{}", self.word(), self.word()),
        };
        Entity {
            process: is_single.then_some(process),
            cgroup: Some(cgroup),
            workload: Some(self.workload()),
            ..Entity::default()
        }
    }

    fn address(&mut self) -> Address {
        Address {
            ip: IpAddr::V4(Ipv4Addr::from(u32::try_from(self.below(1 << 32)).unwrap_or(0))),
            port: u16::try_from(self.below(1 << 16)).unwrap_or(0),
            net_ns: 4_026_531_840 + u32::try_from(self.below(1000)).unwrap_or(0),
        }
    }

    /// As `body`, but for the numbers of what is told every second.
    fn body(&mut self, kind: Kind) -> Body {
        let count = self.below(200);
        let mut told = body(kind);
        if let Body::EdgeStats(stats) = &mut told {
            *stats = EdgeStats {
                role: stats.role,
                attempts: count,
                established: count,
                closed: count,
                bytes_sent: self.below(100_000),
                bytes_received: self.below(1_000_000),
                handshake_mean_ns: self.below(100_000),
                ..EdgeStats::default()
            };
        } else if let Body::HttpStats(stats) = &mut told {
            stats.by_class = [0, count, 0, 0, 0];
            stats.latency = Log2::default();
            stats.latency.record(100_000 + self.below(1 << 22), count);
            stats
                .latency
                .record(200_000 + self.below(1 << 23), 1 + self.below(9));
        }
        told
    }
}

fn header(noise: &mut Noise, time_ns: u64) -> Header {
    let observers = FAMILIES.iter().flat_map(|family| family.observers);
    let observers: Vec<_> = observers.map(|observer| observer.token).collect();
    let is_enriched = noise.below(3) == 0;
    Header {
        schema: SCHEMA_VERSION,
        cluster: noise.word(),
        node: noise.word(),
        boot: format!("{:08x}-{:016x}", noise.below(1 << 32), noise.next()),
        observer: noise.one_of(&observers).unwrap_or_default().to_owned(),
        first_sequence: noise.below(100_000),
        watermark_ns: if is_enriched { 0 } else { time_ns },
        dropped_total: 0,
        received_ns: if is_enriched { time_ns } else { 0 },
        leaving: false,
    }
}

/// A heartbeat, one event of any kind, or what a second sums up of the edges of a node.
fn batch(noise: &mut Noise) -> Batch {
    let time_ns = YEARS_NS + noise.below(1 << 58);
    let header = header(noise, time_ns);
    let size = match noise.below(4) {
        0 => 0,
        1 => 1,
        _ => noise.one_of(&SIZES).unwrap_or(1),
    };
    let second_ns = time_ns / SECOND_NS * SECOND_NS;
    let is_single = size <= 1;
    let sums = noise
        .one_of(&[Kind::EdgeStats, Kind::HttpStats])
        .unwrap_or(Kind::EdgeStats);
    let (subject, object) = (noise.entity(is_single), noise.address());
    let mut event = |sequence: u64| {
        let kind = if is_single {
            noise.one_of(Kind::ALL).unwrap_or(sums)
        } else {
            sums
        };
        let object = Entity::of_address(Address {
            port: u16::try_from(noise.below(1 << 16)).unwrap_or(0),
            ..object
        });
        Event {
            id: EventId::of_event(time_ns, &header.node, &header.boot, &header.observer, sequence),
            time_ns: if is_single { time_ns } else { second_ns },
            observed_ns: time_ns,
            severity: Severity::Info,
            subject: subject.clone(),
            object: Some(object),
            count: 1 + noise.below(200),
            window_ns: if is_single { 0 } else { SECOND_NS },
            trace: None,
            body: noise.body(kind),
        }
    };
    let events = (0..size)
        .map(|offset| event(header.first_sequence + offset))
        .collect();
    Batch {
        header,
        events,
        ..Batch::default()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = std::env::args_os().nth(1) else {
        return Err("say where to write the dictionary".into());
    };
    let mut noise = Noise(1);
    let mut samples = Vec::new();
    for _ in 0..BATCHES {
        let mut sample = Vec::new();
        batch(&mut noise).encode(&mut sample)?;
        samples.push(sample);
    }
    std::fs::write(file, zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?)?;
    Ok(())
}
