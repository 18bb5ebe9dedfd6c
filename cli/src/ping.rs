//! `tapio ping`: sends an event through the pipeline, and tells how long it took to come out of the enricher.

use std::process::ExitCode;
use std::time::Duration;

use bus_client::Bus;
use bus_client::codec::Codec;
use bus_client::publisher::{Outgoing, publish};
use bus_schema::event::network::TcpStats;
use bus_schema::event::{Body, Event};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity, names};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::time::Instant;

use crate::args::{NatsArgs, PingArgs};
use crate::nats::{self, Message};
use crate::{Error, clock, output};

/// Name of the observer in the batch, and of the node up to its number.
const NAME: &str = "ping";

/// Waits for as long as it is told.
pub(crate) async fn run(args: &PingArgs, told: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::config(told)).await?;
    let mut enriched = nats::subscribe(&bus, &format!("{}.>", names::ENRICHED)).await?;
    let ping = Ping::new(&args.cluster);
    let mut codec = Codec::new().map_err(Error::Runtime)?;
    let began = Instant::now();
    ping.send(&bus, &mut codec).await?;
    let came = tokio::time::timeout(args.patience, ping.comes(&mut enriched, &mut codec)).await;
    came.map_err(|_| nats::Error::NotEnriched {
        seconds: args.patience.as_secs(),
    })??;
    say(began.elapsed(), json);
    Ok(ExitCode::SUCCESS)
}

fn say(took: Duration, json: bool) {
    if json {
        output::say(json!({"seconds": took.as_secs_f64()}));
    } else {
        let milliseconds = took.as_millis();
        output::say(format_args!(
            "an event came through the enricher in {milliseconds} ms"
        ));
    }
}

/// One event that changes nothing, of a node that nobody has.
struct Ping {
    header: Header,
    event: Event,
}

impl Ping {
    fn new(cluster: &str) -> Self {
        let now_ns = clock::now().as_ns();
        let node = format!("{NAME}-{}-{now_ns}", std::process::id());
        let boot = now_ns.to_string();
        let event = Event {
            id: EventId::of_event(now_ns, &node, &boot, NAME, 0),
            time_ns: now_ns,
            observed_ns: now_ns,
            severity: Severity::Info,
            subject: Entity::of_node(&node),
            object: None,
            count: 1,
            window_ns: 0,
            trace: None,
            body: Body::TcpStats(TcpStats::default()),
        };
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: cluster.to_owned(),
            node,
            boot,
            observer: NAME.to_owned(),
            watermark_ns: now_ns,
            // nobody waits for more of it
            leaving: true,
            ..Header::default()
        };
        Self { header, event }
    }

    async fn send(&self, bus: &Bus, codec: &mut Codec) -> Result<(), nats::Error> {
        let not_taken = |why: String| nats::Error::NotTaken { why };
        let packed = codec.pack(&self.header, std::slice::from_ref(&self.event));
        let message = Outgoing {
            subject: names::events_subject(&self.header.node, NAME),
            message_id: Some(self.header.message_id()),
            events: 1,
            payload: packed.map_err(|error| not_taken(error.to_string()))?.into(),
        };
        let published = publish(bus, &message).await;
        published.map_err(|error| not_taken(error.to_string()))
    }

    /// Waits until it is seen.
    async fn comes(
        &self,
        enriched: &mut (impl Stream<Item = Message> + Unpin),
        codec: &mut Codec,
    ) -> Result<(), nats::Error> {
        while let Some(message) = enriched.next().await {
            let batch = codec.unpack(&message.payload);
            if batch.is_ok_and(|batch| batch.events.iter().any(|event| event.id == self.event.id)) {
                return Ok(());
            }
        }
        Err(nats::Error::Lost {
            what: names::ENRICHED.to_owned(),
        })
    }
}
