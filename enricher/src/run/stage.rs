//! The enricher as a partitioned stage: raw partitions in, enriched partitions out.

use std::sync::{PoisonError, RwLockReadGuard};

use bus_client::codec::{Codec, UnpackError};
use bus_client::reader::Incoming;
use bus_schema::Header;
use bus_schema::batch::DecodeError;
use bus_schema::names::{EVENTS_STREAM, enriched_subject, parse_slot_and_family, partition_stream};
use bus_stage::high_water::{Admission, HighWater};
use bus_stage::partitioned::{Applied, Output, Reject, Stage, Work};
use serde::{Deserialize, Serialize};

use super::watch::Shared;
use crate::Enricher;
use crate::enrich::Share;
use crate::topology::Topology;

/// The stage: how many partitions, and who is who in the cluster.
#[derive(Debug)]
pub struct EnricherStage {
    /// Partitions of the raw and of the enriched side.
    pub partitions: u16,
    /// What the API server told; empty outside Kubernetes.
    pub topology: Shared,
}

/// One raw partition.
#[derive(Debug)]
pub struct Partition {
    number: u16,
    partitions: u16,
    topology: Shared,
    codec: Codec,
    state: State,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    enricher: Enricher,
    marks: HighWater,
}

impl Stage for EnricherStage {
    type Work = Partition;

    const NAME: &'static str = "enricher";

    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn stream(&self, partition: u16) -> String {
        partition_stream(EVENTS_STREAM, partition)
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
            codec,
            state,
        })
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
        let batch = self
            .codec
            .unpack(&message.payload)
            .map_err(|error| reject(&error))?;
        let mut header = batch.header.clone();
        header.received_ns = message.stored_ns;
        let received = batch.events.len() as u64;
        let unknown: u64 = batch.unknown_kinds.values().sum();
        let mut skipped: Vec<_> = (unknown > 0)
            .then_some(("unknown_kind", unknown))
            .into_iter()
            .collect();
        match self.state.marks.admit(&header, received + unknown) {
            Admission::Repeated => return Ok(Applied::default()),
            Admission::New { missed } if missed > 0 => skipped.push(("missed", missed)),
            Admission::New { .. } => {}
        }
        let topology = self.topology.read().unwrap_or_else(PoisonError::into_inner);
        let shares = self.state.enricher.apply(&topology, batch, self.partitions);
        drop::<RwLockReadGuard<'_, Topology>>(topology);
        let time_ns = header.watermark_ns;
        let mut outputs = Vec::with_capacity(shares.len());
        for share in shares {
            outputs.push(self.output(&header, family, &share, message.sequence)?);
        }
        Ok(Applied {
            outputs,
            received,
            time_ns,
            skipped,
        })
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(&self.state).map_err(|error| error.to_string())
    }
}

impl Partition {
    fn output(
        &mut self,
        header: &Header,
        family: &str,
        share: &Share,
        sequence: u64,
    ) -> Result<Output, Reject> {
        let packed = self.codec.pack(header, &share.events);
        let payload = packed.map_err(|error| Reject {
            kind: "unencodable",
            detail: error.to_string(),
        })?;
        Ok(Output {
            // A partition owns the slot of its own number.
            subject: enriched_subject(share.partition, family),
            message_id: format!("E/{}/{sequence}/{}", self.number, share.partition),
            payload: payload.into(),
            events: share.events.len() as u64,
            put: None,
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
