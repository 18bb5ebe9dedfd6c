//! A real story of the kernel, recorded once and told again to fresh stages, faster than it happened.

use bus_client::Bus;
use bus_client::checkpoints::Checkpoints;
use bus_client::codec::Codec;
use bus_client::publisher::{Outgoing, publish};
use bus_client::reader::Incoming;
use bus_schema::Event;
use bus_schema::event::Body;
use bus_schema::names::{ENRICHED_STREAM, EPISODES_STREAM, EVENTS_STREAM, partition_stream};
use tokio::sync::OnceCell;

use crate::demo::{Demo, Moment};
use crate::server::{self, Server};
use crate::stage::Stage;
use crate::wait_for;

/// Raw batches in the order in which the bus got them.
pub(crate) struct Story {
    messages: Vec<Incoming>,
    /// First message of the change, of the growth, and of the kill.
    change: usize,
    growth: usize,
    kill: usize,
}

static RECORDED: OnceCell<Story> = OnceCell::const_new();

impl Story {
    /// The leak on this kernel; played for whoever asks first.
    pub(crate) async fn recorded() -> &'static Self {
        RECORDED.get_or_init(Self::record).await
    }

    async fn record() -> Self {
        let (_kept, server) = Demo::start(&["--keep"]).await.succeeds().await;
        let bus = server.connect().await;
        let messages = server::messages(&bus, &partition_stream(EVENTS_STREAM, 0)).await;
        let mut codec = Codec::new().unwrap();
        let mut first = |fits: fn(&Event) -> bool| {
            let has = |message: &Incoming| codec.unpack(&message.payload).unwrap().events.iter().any(fits);
            messages.iter().position(has).unwrap()
        };
        let change = first(|event| {
            let path = "releases/v7.0/tapio-shop";
            matches!(&event.body, Body::ExecutableChanged(change) if change.new.path.ends_with(path))
        });
        let growth = first(|event| is_in_cache(event) && matches!(event.body, Body::MemoryGrowth(_)));
        let kill = first(|event| is_in_cache(event) && matches!(event.body, Body::OomKill(_)));
        Self {
            messages,
            change,
            growth,
            kill,
        }
    }

    /// How many messages come before the moment; `None` where only the incident itself can tell.
    fn messages_until(&self, moment: Moment) -> Option<usize> {
        match moment {
            Moment::BeforeTheChange => Some(self.change),
            Moment::AfterTheChange => Some(self.change + 1),
            Moment::Growth => Some(self.growth + 1),
            Moment::OomKill => Some(self.kill + 1),
            Moment::Opened => None,
        }
    }

    /// Publishes up to the moment; gives what is left.
    pub(crate) async fn tell_until(&self, bus: &Bus, moment: Moment) -> &[Incoming] {
        if let Some(count) = self.messages_until(moment) {
            let (before, after) = self.messages.split_at(count);
            tell(bus, before).await;
            return after;
        }
        for (place, message) in self.messages.iter().enumerate() {
            tell(bus, std::slice::from_ref(message)).await;
            let opened = async || server::last_sequence(bus, bus_schema::names::INCIDENTS_STREAM).await > 0;
            if place > self.kill && opened().await {
                return &self.messages[place + 1..];
            }
        }
        panic!("no incident has opened");
    }

    pub(crate) fn all(&self) -> &[Incoming] {
        &self.messages
    }
}

fn is_in_cache(event: &Event) -> bool {
    let group = event.subject.cgroup.as_ref();
    group.is_some_and(|group| group.path.starts_with("/tapio-demo-") && group.path.ends_with("/cache"))
}

/// Publishes messages, each after the one before is stored.
pub(crate) async fn tell(bus: &Bus, messages: &[Incoming]) {
    for message in messages {
        let outgoing = Outgoing {
            subject: message.subject.clone(),
            message_id: Some(format!("told/{}", message.sequence)),
            events: 0,
            payload: message.payload.clone(),
        };
        publish(bus, &outgoing).await.unwrap();
    }
}

/// A bus with an enricher and a correlator, of one partition.
pub(crate) struct Stages {
    pub(crate) server: Server,
    pub(crate) bus: Bus,
    pub(crate) enricher: Stage,
    pub(crate) correlator: Stage,
}

impl Stages {
    pub(crate) async fn start() -> Self {
        let server = Server::start();
        let bus = server.connect().await;
        let correlator = Stage::start("tapio-correlator", &server, &[]);
        let enricher = Stage::start("tapio-enricher", &server, &[]);
        correlator.ready().await;
        enricher.ready().await;
        Self {
            server,
            bus,
            enricher,
            correlator,
        }
    }

    /// Waits until all that was published has had its effects.
    pub(crate) async fn drained(&self) {
        drained(&self.bus, 1).await;
    }
}

/// Waits until every stage has written down that it has read all that the one before it has written.
pub(crate) async fn drained(bus: &Bus, partitions: u16) {
    for (stage, stream) in [("enricher", EVENTS_STREAM), ("episodes", ENRICHED_STREAM)] {
        for partition in 0..partitions {
            has_read(bus, stage, partition, &partition_stream(stream, partition)).await;
        }
    }
    has_read(bus, "causes", 0, EPISODES_STREAM).await;
}

async fn has_read(bus: &Bus, stage: &str, partition: u16, stream: &str) {
    wait_for(&format!("{stage} has read {stream}"), async || {
        let last = server::last_sequence(bus, stream).await;
        let Ok(mut checkpoints) = Checkpoints::open(bus, stage, partition, u64::MAX).await else {
            return false;
        };
        let read = checkpoints.read().await.ok().flatten();
        last == 0 || read.is_some_and(|checkpoint| checkpoint.sequence >= last)
    })
    .await;
}
