//! The way of events to the correlator: observers' batches, as the enricher leaves them, in the order of the bus.

mod regular;

use std::collections::BTreeMap;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_schema::event::{Body, Event};
use bus_schema::names::{BATCH_MAX_EVENTS, ENRICHED_STREAM, enriched_subject, partition_stream, slot};
use bus_schema::{Batch, Entity, EventId, Header, SCHEMA_VERSION, Severity};

use super::arena::Arena;
use super::numbers::{MILLI, SECOND};
use super::sight::Sight;

/// Observers wait so long for company for what is not urgent.
const LINGER_NS: u64 = 100 * MILLI;
/// From an observer to the enriched stream, and for each node a little longer.
const WAY_NS: u64 = 3 * MILLI;
const WAY_MORE_NS: u64 = MILLI;
/// Statistics of a second leave some time after its end.
const STATISTICS_NS: u64 = 110 * MILLI;
pub(super) const CLUSTER: &str = "generated";

/// An observer, by its token, and its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Observer {
    Network,
    Status,
    Memory,
    ProcessSignals,
    ContainerRuntime,
    Deployments,
    Lifecycle,
}

impl Observer {
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Status => "status",
            Self::Memory => "memory",
            Self::ProcessSignals => "process-signals",
            Self::ContainerRuntime => "container-runtime",
            Self::Deployments => "deployments",
            Self::Lifecycle => "lifecycle",
        }
    }

    /// Whether it loads programs into the kernel of its node.
    pub(super) fn is_of_kernel(self) -> bool {
        match self {
            Self::Network | Self::Status | Self::ProcessSignals | Self::ContainerRuntime => true,
            Self::Memory | Self::Deployments | Self::Lifecycle => false,
        }
    }

    fn family(self) -> &'static str {
        match self {
            Self::Network | Self::Status => "network",
            Self::Memory => "memory",
            Self::ProcessSignals | Self::ContainerRuntime => "process",
            Self::Deployments | Self::Lifecycle => "kubernetes",
        }
    }
}

/// Something that an observer on a node tells.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) at_ns: u64,
    pub(super) severity: Severity,
    pub(super) subject: Entity,
    pub(super) object: Option<Entity>,
    pub(super) count: u64,
    pub(super) body: Body,
}

impl Told {
    /// Once, with nobody at the other end.
    pub(super) fn new(at_ns: u64, severity: Severity, subject: Entity, body: Body) -> Self {
        Self {
            at_ns,
            severity,
            subject,
            object: None,
            count: 1,
            body,
        }
    }

    /// With somebody at the other end.
    pub(super) fn with(self, object: Entity) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }
}

/// Batches on their way, by when they are stored, from which node and observer.
type Waiting = BTreeMap<(u64, usize, Observer), Vec<Told>>;

/// Everything on its way.
#[derive(Debug)]
pub(super) struct Bus {
    nodes: Arena<String>,
    boot: String,
    sight: Sight,
    waiting: Waiting,
    /// Messages that hold no events of observers, by when they are stored.
    others: BTreeMap<(u64, usize), Recorded>,
    /// Number of the next event of each producer.
    numbers: BTreeMap<(usize, Observer), u64>,
    sequences: BTreeMap<String, u64>,
    heartbeats: u64,
    /// Messages in `others` so far, of which each is another.
    put: usize,
}

impl Bus {
    pub(super) fn new(nodes: Arena<String>, boot: String, sight: Sight) -> Self {
        Self {
            nodes,
            boot,
            sight,
            waiting: Waiting::new(),
            others: BTreeMap::new(),
            numbers: BTreeMap::new(),
            sequences: BTreeMap::new(),
            heartbeats: 0,
            put: 0,
        }
    }

    /// Whether nobody observes the kernel of that node.
    pub(super) fn is_blind(&self, node: usize) -> bool {
        self.sight.is_blind(node)
    }

    /// Tells what happened by itself.
    pub(super) fn tell(&mut self, node: usize, observer: Observer, told: Told) {
        let way_ns = WAY_NS + WAY_MORE_NS * node as u64;
        let stored_ns = if told.severity.is_urgent() {
            told.at_ns + way_ns
        } else {
            (told.at_ns / LINGER_NS + 1) * LINGER_NS + way_ns
        };
        self.post(stored_ns, node, observer, told);
    }

    /// Tells the sum of the second that ended.
    pub(super) fn sum(&mut self, node: usize, observer: Observer, told: Told) {
        let stored_ns = told.at_ns + STATISTICS_NS + WAY_MORE_NS * node as u64;
        self.post(stored_ns, node, observer, told);
    }

    fn post(&mut self, stored_ns: u64, node: usize, observer: Observer, told: Told) {
        if !self.sight.sees(node, observer) {
            return;
        }
        self.waiting
            .entry((stored_ns, node, observer))
            .or_default()
            .push(told);
    }

    /// Everything that was stored before, in order.
    pub(super) fn take(&mut self, before_ns: u64) -> Result<Vec<Recorded>> {
        let mut messages = Vec::new();
        let later = self.waiting.split_off(&(before_ns, 0, Observer::Network));
        for ((stored_ns, node, observer), told) in std::mem::replace(&mut self.waiting, later) {
            for told in chunks(told) {
                messages.push(self.batch(stored_ns, node, observer, told)?);
            }
        }
        let later = self.others.split_off(&(before_ns, 0));
        let others = std::mem::replace(&mut self.others, later);
        messages.extend(others.into_values());
        messages.sort_by_key(|message| message.stored_ns);
        for message in &mut messages {
            let sequence = self.sequences.entry(message.stream.clone()).or_default();
            *sequence += 1;
            message.sequence = *sequence;
        }
        Ok(messages)
    }

    fn batch(
        &mut self,
        stored_ns: u64,
        node: usize,
        observer: Observer,
        told: Vec<Told>,
    ) -> Result<Recorded> {
        let next = self.numbers.entry((node, observer)).or_insert(1);
        let first_sequence = *next;
        *next += told.len() as u64;
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: CLUSTER.into(),
            node: self.nodes[node].clone(),
            boot: self.boot.clone(),
            observer: observer.token().into(),
            first_sequence,
            received_ns: stored_ns,
            ..Header::default()
        };
        let events = (first_sequence..)
            .zip(told)
            .map(|(number, told)| event(&header, number, told, &|at_ns| self.sight.time_ns(node, at_ns)));
        let batch = Batch {
            events: events.collect(),
            header,
            ..Batch::default()
        };
        enriched(stored_ns, observer.family(), &batch)
    }
}

fn chunks(mut told: Vec<Told>) -> Vec<Vec<Told>> {
    let mut chunks = Vec::new();
    while told.len() > BATCH_MAX_EVENTS {
        let rest = told.split_off(BATCH_MAX_EVENTS);
        chunks.push(std::mem::replace(&mut told, rest));
    }
    chunks.push(told);
    chunks
}

/// `clock` is what the clock of its node says at a time.
fn event(header: &Header, number: u64, told: Told, clock: &dyn Fn(u64) -> u64) -> Event {
    let is_sum = matches!(
        told.body,
        Body::EdgeStats(_) | Body::HttpStats(_) | Body::TcpStats(_)
    );
    // Whatever the clock, sums end with one of its seconds.
    let time_ns = if is_sum { told.at_ns } else { clock(told.at_ns) };
    Event {
        id: EventId::of_event(time_ns, &header.node, &header.boot, &header.observer, number),
        time_ns,
        observed_ns: time_ns,
        severity: told.severity,
        subject: told.subject,
        object: told.object,
        count: told.count,
        window_ns: if is_sum { SECOND } else { 0 },
        trace: None,
        body: told.body,
    }
}

/// A batch as a message of the one enriched partition.
fn enriched(stored_ns: u64, family: &str, batch: &Batch) -> Result<Recorded> {
    let mut payload = Vec::new();
    batch.encode(&mut payload)?;
    Ok(Recorded {
        stream: partition_stream(ENRICHED_STREAM, 0),
        sequence: 0,
        stored_ns,
        subject: enriched_subject(slot(&batch.header.node), family),
        payload: payload.into(),
    })
}
