//! Two enrichers and two correlators share the partitions; one of each dies for good, and the other takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_client::Bus;
use bus_client::codec::Codec;
use bus_client::publisher::{Outgoing, publish};
use bus_client::streams;
use bus_schema::event::network::TcpStats;
use bus_schema::event::{Body, Event};
use bus_schema::names::{
    ENRICHED_STREAM, EPISODES_STREAM, INCIDENTS_STREAM, LEASES_BUCKET, events_subject, partition_of_slot,
    partition_stream, slot,
};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};

use crate::server::{self, Server, newest, revisions};
use crate::stage::Stage;
use crate::story::{Story, drained, tell};
use crate::{wait_for, wait_within};

const PARTITIONS: u16 = 2;
const MOVED_WITHIN: Duration = Duration::from_secs(10);
const BATCH: u64 = 20;

/// A bus with two of each.
struct Pairs {
    server: Server,
    bus: Bus,
    enrichers: [Stage; 2],
    correlators: [Stage; 2],
}

impl Pairs {
    async fn start() -> Self {
        let server = Server::start();
        let bus = server.connect().await;
        let pair = |program| {
            ["one", "two"].map(|member| {
                Stage::start(
                    program,
                    &server,
                    &[("TAPIO_PARTITIONS", "2"), ("TAPIO_POD", member)],
                )
            })
        };
        let (enrichers, correlators) = (pair("tapio-enricher"), pair("tapio-correlator"));
        for stage in enrichers.iter().chain(&correlators) {
            stage.ready().await;
        }
        let pairs = Self {
            server,
            bus,
            enrichers,
            correlators,
        };
        for stage in ["enricher", "episodes"] {
            wait_for("each has its share", async || {
                let mut holders: Vec<_> = pairs.holders(stage).await.into_values().collect();
                holders.sort();
                holders == ["one", "two"]
            })
            .await;
        }
        pairs
    }

    /// Who holds which partition of a stage.
    async fn holders(&self, stage: &str) -> BTreeMap<u16, String> {
        let bucket = streams::bucket(&self.bus, LEASES_BUCKET).await.unwrap();
        let mut holders = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let lease = bucket.get(format!("{stage}.lease.{partition}")).await;
            if let Ok(Some(name)) = lease {
                holders.insert(partition, String::from_utf8(name.to_vec()).unwrap());
            }
        }
        holders
    }

    /// Kills the first of each; `going_on` keeps them busy until all has moved.
    async fn lose_one_of_each(&mut self, mut going_on: impl AsyncFnMut()) {
        self.enrichers[0].kill();
        self.correlators[0].kill();
        let (pairs, partitions) = (&*self, usize::from(PARTITIONS));
        let took = wait_within(MOVED_WITHIN, "partitions move", async || {
            going_on().await;
            let is_survivors = |holders: BTreeMap<u16, String>, count: usize| {
                holders.len() == count && holders.values().all(|name| name == "two")
            };
            is_survivors(pairs.holders("enricher").await, partitions)
                && is_survivors(pairs.holders("episodes").await, partitions)
                && is_survivors(pairs.holders("causes").await, 1)
        })
        .await;
        println!("moved within {took:?}");
    }
}

/// Nodes that publish events of their own, as many in either partition.
struct Nodes {
    names: Vec<String>,
    told: u64,
    codec: Codec,
}

impl Nodes {
    fn new() -> Self {
        let names: Vec<_> = (0..8).map(|number| format!("node-{number}")).collect();
        for partition in 0..PARTITIONS {
            let here = |name: &String| partition_of_slot(slot(name), PARTITIONS) == partition;
            assert!(names.iter().any(here), "a node in partition {partition}");
        }
        Self {
            names,
            told: 0,
            codec: Codec::new().unwrap(),
        }
    }

    /// A batch of every node.
    async fn tell(&mut self, bus: &Bus) {
        for (place, node) in self.names.iter().enumerate() {
            let (first, time_ns) = (
                self.told * BATCH + 1,
                1_700_000_000_000_000_000 + self.told * 50_000_000,
            );
            let id = |number: u64| EventId(((place as u128 + 1) << 64) + u128::from(first + number));
            let events: Vec<_> = (0..BATCH)
                .map(|number| event(id(number), node, time_ns))
                .collect();
            let header = Header {
                schema: SCHEMA_VERSION,
                cluster: "c".into(),
                node: node.clone(),
                boot: "b".into(),
                observer: "o".into(),
                first_sequence: first,
                watermark_ns: time_ns,
                dropped_total: 0,
                received_ns: 0,
                leaving: false,
            };
            let message = Outgoing {
                subject: events_subject(node, "network"),
                message_id: Some(header.message_id()),
                events: BATCH,
                payload: self.codec.pack(&header, &events).unwrap().into(),
            };
            publish(bus, &message).await.unwrap();
        }
        self.told += 1;
    }

    fn events(&self) -> usize {
        usize::try_from(self.told * BATCH).unwrap() * self.names.len()
    }
}

fn event(id: EventId, node: &str, time_ns: u64) -> Event {
    Event {
        id,
        time_ns,
        observed_ns: time_ns,
        severity: Severity::Info,
        subject: Entity::of_node(node),
        object: None,
        count: 1,
        window_ns: 0,
        trace: None,
        body: Body::TcpStats(TcpStats::default()),
    }
}

#[tokio::test]
async fn partitions_of_the_dead_move_within_ten_seconds_and_nothing_is_lost_or_doubled() {
    let mut pairs = Pairs::start().await;
    let mut nodes = Nodes::new();
    for _ in 0..50 {
        nodes.tell(&pairs.bus).await;
    }
    let bus = pairs.bus.clone();
    pairs.lose_one_of_each(async || nodes.tell(&bus).await).await;
    for _ in 0..50 {
        nodes.tell(&bus).await;
    }
    drained(&bus, PARTITIONS).await;
    let mut codec = Codec::new().unwrap();
    let mut seen: BTreeMap<EventId, usize> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for message in server::messages(&bus, &partition_stream(ENRICHED_STREAM, partition)).await {
            for event in codec.unpack(&message.payload).unwrap().events {
                *seen.entry(event.id).or_default() += 1;
            }
        }
    }
    assert_eq!(seen.len(), nodes.events());
    assert!(seen.values().all(|times| *times == 1));
    println!("{} events, each once", seen.len());
    drop(pairs.server);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_story_that_loses_one_of_each_in_its_middle_has_the_same_incident() {
    let story = Story::recorded().await;
    let whole = Pairs::start().await;
    tell(&whole.bus, story.all()).await;
    drained(&whole.bus, PARTITIONS).await;
    let undisturbed = newest(&whole.bus).await;
    let mut pairs = Pairs::start().await;
    let bus = pairs.bus.clone();
    let rest = story.tell_until(&bus, crate::demo::Moment::Growth).await;
    pairs.lose_one_of_each(async || ()).await;
    tell(&bus, rest).await;
    drained(&bus, PARTITIONS).await;
    // What other tests' processes suffer beside the story has several symptoms. Which of them opened an incident hangs on
    // whose partition had a member first, and so does its id.
    let root = |incident: &bus_schema::Incident| {
        let root = incident.root_cause().unwrap();
        let id = (root.label == "cache").then_some(incident.id);
        (id, root.id, root.condition.clone(), root.label.clone())
    };
    let roots = |incidents: &[bus_schema::Incident]| {
        let mut roots: Vec<_> = incidents.iter().map(root).collect();
        roots.sort();
        roots
    };
    assert!(!undisturbed.is_empty());
    assert_eq!(roots(&newest(&bus).await), roots(&undisturbed));
    let all = revisions(&bus).await;
    for incident in newest(&bus).await {
        let mine = all.iter().filter(|revision| revision.id == incident.id);
        let numbers: Vec<_> = mine.map(|revision| revision.revision).collect();
        assert_eq!(numbers, (1..=incident.revision).collect::<Vec<_>>());
    }
    assert!(server::last_sequence(&bus, EPISODES_STREAM).await > 0);
    assert!(server::last_sequence(&bus, INCIDENTS_STREAM).await > 0);
}
