//! Step one as a partitioned stage: enriched partitions in, episodes out.

use bus_client::codec::{Codec, UnpackError};
use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::batch::DecodeError;
use bus_schema::episode::Blindness;
use bus_schema::names::{ENRICHED_STREAM, episodes_subject, partition_stream};
use bus_stage::high_water::{Admission, HighWater};
use bus_stage::losses::Losses;
use bus_stage::metrics::Series;
use bus_stage::partitioned::{Applied, Output, Reject, Stage, Work};
use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};

use super::metrics::{self, Own};
use crate::fold::Folder;

/// All incidents of a cluster are found in one place: its episodes are few.
pub const CELL: u16 = 0;
/// Theme of reports that hold more than one.
const THEME: &str = "mixed";

const UNKNOWN_KIND: &str = "unknown_kind";
/// More happens than can be remembered.
const EVICTED: &str = "evicted";

/// The stage.
#[derive(Debug)]
pub struct Episodes {
    /// Partitions of the enriched side.
    pub partitions: u16,
    /// Where it says how it gets on.
    pub metrics: Own,
}

/// One enriched partition.
#[derive(Debug)]
pub struct Partition {
    codec: Codec,
    state: State,
    metrics: Own,
    open_episodes: Series<Gauge>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    folder: Folder,
    marks: HighWater,
    #[serde(default)]
    losses: Losses,
}

impl Stage for Episodes {
    type Work = Partition;

    const NAME: &'static str = "episodes";

    /// 1: as 0, with a version.
    const VERSION: u32 = 1;

    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn stream(&self, partition: u16) -> String {
        partition_stream(ENRICHED_STREAM, partition)
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Partition, String> {
        let state = match state {
            Some(bytes) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?,
            None => State {
                folder: Folder::new(partition),
                marks: HighWater::default(),
                losses: Losses::default(),
            },
        };
        Ok(Partition {
            codec: Codec::new().map_err(|error| error.to_string())?,
            state,
            open_episodes: self.metrics.open_episodes(partition),
            metrics: self.metrics.clone(),
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
        let batch = self
            .codec
            .unpack(&message.payload)
            .map_err(|error| reject(&error))?;
        let (received, unknown) = (
            batch.events.len() as u64,
            batch.unknown_kinds.values().sum::<u64>(),
        );
        if self.state.marks.admit(&batch.header, received + unknown) == Admission::Repeated {
            return Ok(Applied::default());
        }
        self.lost(UNKNOWN_KIND, unknown);
        for (reason, count) in self.state.marks.take_forgotten() {
            self.metrics.evict(reason, count);
        }
        let mut report = self.state.folder.apply(message.sequence, &batch);
        let evicted = self.state.folder.take_evicted();
        self.metrics.evict(EVICTED, evicted);
        self.lost(EVICTED, evicted);
        metrics::set(&self.open_episodes, self.state.folder.open_episodes());
        if let Some(report) = &mut report {
            let losses = self.state.losses.due(Episodes::NAME, message.stored_ns);
            let blindness = losses.into_iter().map(|loss| Blindness {
                time_ns: message.stored_ns,
                loss: Some(loss),
                ..Blindness::default()
            });
            report.blindness.extend(blindness);
        }
        let outputs = report.map(|report| {
            let payload = report.encode().map_err(|error| Reject {
                kind: "unencodable",
                detail: error.to_string(),
            })?;
            let message = Outgoing {
                subject: episodes_subject(CELL, THEME),
                message_id: (!report.is_heartbeat()).then(|| report.message_id()),
                events: report.episodes.len() as u64,
                payload: payload.into(),
            };
            Ok(Output { message, put: None })
        });
        let outputs = outputs.transpose()?.into_iter().collect();
        let skipped = (unknown > 0)
            .then_some((UNKNOWN_KIND, unknown))
            .into_iter()
            .collect();
        Ok(Applied {
            outputs,
            received,
            time_ns: batch.header.watermark_ns,
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
