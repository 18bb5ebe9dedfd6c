//! The enricher as a partitioned stage: raw partitions in, enriched partitions out.

use std::sync::{PoisonError, RwLockReadGuard};

use bus_client::codec::{Codec, UnpackError};
use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::batch::DecodeError;
use bus_schema::event::node::Loss;
use bus_schema::event::{Body, Event};
use bus_schema::names::{
    EVENTS_STREAM, enriched_subject, events_subject, parse_slot_and_family, partition_stream,
};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};
use bus_stage::high_water::{Admission, HighWater};
use bus_stage::losses::Losses;
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{Applied, Output, Reject, Stage, Tenure, Work};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::watches::Shared;
use crate::Enricher;
use crate::enrich::Share;
use crate::topology::Topology;

const UNKNOWN_KIND: &str = "unknown_kind";
/// Family under which the enricher speaks for itself.
const OWN_FAMILY: &str = "system";

/// The stage: how many partitions, and who is who in the cluster.
#[derive(Debug)]
pub struct EnricherStage {
    /// Partitions of the raw and of the enriched side.
    pub partitions: u16,
    /// What the API server told; empty outside Kubernetes.
    pub topology: Shared,
    /// The tenure of the first partition, whose holder tells of relations.
    pub role: watch::Sender<Option<Tenure>>,
    /// Where it says how it gets on.
    pub metrics: Metrics,
}

/// One raw partition.
#[derive(Debug)]
pub struct Partition {
    number: u16,
    partitions: u16,
    topology: Shared,
    metrics: Metrics,
    codec: Codec,
    state: State,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    enricher: Enricher,
    marks: HighWater,
    #[serde(default)]
    losses: Losses,
}

impl Stage for EnricherStage {
    type Work = Partition;

    const NAME: &'static str = "enricher";

    /// 1: as 0, with a version.
    const VERSION: u32 = 1;

    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn stream(&self, partition: u16) -> String {
        partition_stream(EVENTS_STREAM, partition)
    }

    fn begin(&self, partition: u16, tenure: Tenure) {
        if partition == 0 {
            self.role.send_replace(Some(tenure));
        }
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Partition, String> {
        let state = match state {
            Some(bytes) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?,
            None => State::default(),
        };
        let codec = Codec::new().map_err(|error| error.to_string())?;
        Ok(Partition {
            number: partition,
            partitions: self.partitions,
            topology: Shared::clone(&self.topology),
            metrics: self.metrics.clone(),
            codec,
            state,
        })
    }

    fn migrate(&self, partition: u16, version: u32, state: &[u8]) -> Result<Partition, String> {
        match version {
            0 => self.restore(partition, Some(state)),
            other => Err(format!("version {other} is not known")),
        }
    }
}

impl Work for Partition {
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject> {
        let Some((_, family)) = parse_slot_and_family(&message.subject) else {
            return Err(Reject {
                kind: "unknown_subject",
                detail: message.subject.clone(),
            });
        };
        let mut batch = self
            .codec
            .unpack(&message.payload)
            .map_err(|error| reject(&error))?;
        // Who may publish as one node cannot speak for another.
        if message.subject != events_subject(&batch.header.node, family) {
            return Err(Reject {
                kind: "foreign_node",
                detail: format!("a batch of node {} on {}", batch.header.node, message.subject),
            });
        }
        batch.header.received_ns = message.stored_ns;
        let header = batch.header.clone();
        let received = batch.events.len() as u64;
        let unknown: u64 = batch.unknown_kinds.values().sum();
        let mut skipped: Vec<_> = (unknown > 0)
            .then_some((UNKNOWN_KIND, unknown))
            .into_iter()
            .collect();
        match self.state.marks.admit(&header, received + unknown) {
            Admission::Repeated => return Ok(Applied::default()),
            Admission::New { missed } if missed > 0 => skipped.push(("missed", missed)),
            Admission::New { .. } => {}
        }
        for (reason, count) in self.state.marks.take_forgotten() {
            self.metrics.evict(reason, count);
        }
        self.lost(UNKNOWN_KIND, unknown);
        let topology = self.topology.read().unwrap_or_else(PoisonError::into_inner);
        let enriched = self.state.enricher.apply(&topology, batch, self.partitions);
        drop::<RwLockReadGuard<'_, Topology>>(topology);
        let mut outputs = Vec::with_capacity(enriched.shares.len() + 1);
        outputs.extend(self.tell_losses(&header.cluster, message)?);
        let time_ns = header.watermark_ns;
        // Time is the partition's, not the producer's.
        let header = Header {
            watermark_ns: 0,
            ..header
        };
        for share in enriched.shares {
            let id = format!("E/{}/{}/{}", self.number, message.sequence, share.partition);
            outputs.push(self.output(&header, family, &share, id)?);
        }
        if let Some(watermark_ns) = enriched.watermark_ns {
            outputs.extend(self.tell_time(&header.cluster, watermark_ns, message)?);
        }
        Ok(Applied {
            outputs,
            received,
            time_ns,
            skipped,
            ..Applied::default()
        })
    }

    fn lost(&mut self, reason: &'static str, count: u64) {
        self.state.losses.add(reason, count);
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(&self.state).map_err(|error| error.to_string())
    }
}

impl Partition {
    /// What this partition lost, as a batch of the enricher's own. It has no node, for anybody's events may be among them. What observers say they sent and never came (`missed`) is not in it: whoever dropped it tells it.
    fn tell_losses(&mut self, cluster: &str, message: &Incoming) -> Result<Option<Output>, Reject> {
        let losses = self.state.losses.due(EnricherStage::NAME, message.stored_ns);
        if losses.is_empty() {
            return Ok(None);
        }
        let header = self.header(cluster, message);
        let producer = header.message_id();
        let event = |(loss, count): (Loss, u64)| Event {
            id: EventId::of_parts(message.stored_ns, &[&producer, &loss.reason]),
            time_ns: message.stored_ns,
            observed_ns: message.stored_ns,
            severity: Severity::Warning,
            subject: Entity::default(),
            object: None,
            count,
            window_ns: 0,
            trace: None,
            body: Body::Loss(loss),
        };
        let share = Share {
            partition: self.number,
            events: losses.into_iter().map(event).collect(),
        };
        let id = format!("L/{}/{}", self.number, message.sequence);
        self.output(&header, OWN_FAMILY, &share, id).map(Some)
    }

    /// How far this partition has come, as a heartbeat to every enriched partition. Hearing it twice does no harm.
    fn tell_time(
        &mut self,
        cluster: &str,
        watermark_ns: u64,
        message: &Incoming,
    ) -> Result<Vec<Output>, Reject> {
        let header = Header {
            watermark_ns,
            ..self.header(cluster, message)
        };
        let payload = self.pack(&header, &[])?;
        let heartbeat = |partition| Output {
            message: Outgoing {
                subject: enriched_subject(partition, OWN_FAMILY),
                message_id: None,
                events: 0,
                payload: payload.clone().into(),
            },
            put: None,
        };
        Ok((0..self.partitions.max(1)).map(heartbeat).collect())
    }

    /// The header of what this partition says itself.
    fn header(&self, cluster: &str, message: &Incoming) -> Header {
        Header {
            schema: SCHEMA_VERSION,
            cluster: cluster.to_owned(),
            boot: self.number.to_string(),
            observer: EnricherStage::NAME.to_owned(),
            first_sequence: message.sequence,
            received_ns: message.stored_ns,
            ..Header::default()
        }
    }

    fn output(
        &mut self,
        header: &Header,
        family: &str,
        share: &Share,
        message_id: String,
    ) -> Result<Output, Reject> {
        let message = Outgoing {
            // A partition owns the slot of its own number.
            subject: enriched_subject(share.partition, family),
            message_id: Some(message_id),
            events: share.events.len() as u64,
            payload: self.pack(header, &share.events)?.into(),
        };
        Ok(Output { message, put: None })
    }

    fn pack(&mut self, header: &Header, events: &[Event]) -> Result<Vec<u8>, Reject> {
        let packed = self.codec.pack(header, events);
        packed.map_err(|error| Reject {
            kind: "unencodable",
            detail: error.to_string(),
        })
    }
}

/// Why a message is skipped, as a token and in words.
fn reject(error: &UnpackError) -> Reject {
    let kind = match error {
        UnpackError::Decode(DecodeError::NewerSchema { .. }) => "newer_schema",
        UnpackError::Decode(DecodeError::Malformed(_) | DecodeError::TrailingBytes)
        | UnpackError::Uncompress(_) => "undecodable",
    };
    Reject {
        kind,
        detail: bus_stage::process::chain(error),
    }
}
