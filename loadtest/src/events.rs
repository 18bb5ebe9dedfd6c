//! Events as an observer of a busy node sends them.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use bus_client::codec::Codec;
use bus_schema::entity::{Address, Cgroup, Workload};
use bus_schema::event::kubernetes::ImageChanged;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::{Body, Event};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};
use bytes::Bytes;

/// Node that the events come from.
pub const NODE: &str = "load";
const SECOND_NS: u64 = 1_000_000_000;
const BOOT: &str = "boot";

/// Makes batches with rising sequence numbers and times.
#[derive(Debug)]
pub struct Source {
    codec: Codec,
    observer: &'static str,
    events_per_batch: u64,
    workloads: u64,
    sequence: u64,
    time_ns: u64,
}

impl Source {
    /// A source of batches of that many events, about that many workloads, beginning at `time_ns`.
    ///
    /// # Errors
    /// When compression contexts cannot be allocated.
    pub fn new(observer: &'static str, events_per_batch: u64, workloads: u64, time_ns: u64) -> Result<Self> {
        Ok(Self {
            codec: Codec::new()?,
            observer,
            events_per_batch,
            workloads: workloads.max(1),
            sequence: 1,
            time_ns,
        })
    }

    /// The next batch: its message id and its payload.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn batch(&mut self) -> Result<(String, Bytes)> {
        let first = self.sequence;
        let events: Vec<Event> = (first..first + self.events_per_batch)
            .map(|number| self.edge(number))
            .collect();
        // About a thousand edges a second, as a node with many pods has.
        self.time_ns += self.events_per_batch * SECOND_NS / 1000;
        self.finish(&events)
    }

    /// A batch whose effect on the last stream shows that everything before it has been worked on.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn marker(&mut self, name: &str) -> Result<(String, Bytes)> {
        let change = ImageChanged {
            new_image: "marker:2".into(),
            old_image: "marker:1".into(),
            ..ImageChanged::default()
        };
        let event = self.event(self.sequence, workload(name), None, Body::ImageChanged(change));
        self.finish(&[event])
    }

    fn finish(&mut self, events: &[Event]) -> Result<(String, Bytes)> {
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: "load".into(),
            node: NODE.into(),
            boot: BOOT.into(),
            observer: self.observer.into(),
            first_sequence: self.sequence,
            watermark_ns: self.time_ns,
            dropped_total: 0,
        };
        self.sequence += events.len() as u64;
        Ok((header.message_id(), self.codec.pack(&header, events)?.into()))
    }

    fn edge(&self, number: u64) -> Event {
        let subject = workload(&format!("service-{}", number % self.workloads));
        let host = u8::try_from(number % 250).unwrap_or(0);
        let address = Address {
            ip: IpAddr::V4(Ipv4Addr::new(10, 1, 0, host)),
            port: 8080,
            net_ns: 4_026_531_840,
        };
        let stats = EdgeStats {
            role: Role::Client,
            attempts: 10 + number % 7,
            established: 10 + number % 7,
            bytes_sent: number * 37 % 100_000,
            bytes_received: number * 91 % 1_000_000,
            handshake_mean_ns: 50_000 + number * 13 % 10_000,
            ..EdgeStats::default()
        };
        self.event(
            number,
            subject,
            Some(Entity::of_address(address)),
            Body::EdgeStats(stats),
        )
    }

    fn event(&self, number: u64, subject: Entity, object: Option<Entity>, body: Body) -> Event {
        Event {
            id: EventId::of_event(self.time_ns, NODE, BOOT, self.observer, number),
            time_ns: self.time_ns,
            observed_ns: self.time_ns + 1000,
            severity: Severity::Info,
            subject,
            object,
            count: 10,
            window_ns: SECOND_NS,
            trace: None,
            body,
        }
    }
}

fn workload(name: &str) -> Entity {
    let workload = Workload {
        kind: "Cgroup".into(),
        namespace: "host".into(),
        name: name.into(),
    };
    let cgroup = Cgroup {
        id: 4711,
        path: format!("/load/{name}"),
    };
    Entity {
        workload: Some(workload),
        cgroup: Some(cgroup),
        node: Some(NODE.into()),
        ..Entity::default()
    }
}
