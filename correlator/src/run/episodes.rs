//! Step one as a partitioned stage: enriched partitions in, episodes out.

use std::sync::Arc;

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
use crate::condition::Catalogue;
use crate::fold::{self, Folder};

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
    /// The conditions that are looked for.
    pub catalogue: Arc<Catalogue>,
    /// Where it says how it gets on.
    pub metrics: Own,
}

/// One enriched partition.
#[derive(Debug)]
pub struct Partition {
    codec: Codec,
    folder: Folder,
    marks: HighWater,
    losses: Losses,
    metrics: Own,
    open_episodes: Series<Gauge>,
}

/// What a checkpoint holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept<F, M, L> {
    folder: F,
    marks: M,
    losses: L,
}

impl Stage for Episodes {
    type Work = Partition;

    const NAME: &'static str = "episodes";

    /// 2: folded by the rows of a table. 1: as 0, with a version.
    const VERSION: u32 = 2;

    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn stream(&self, partition: u16) -> String {
        partition_stream(ENRICHED_STREAM, partition)
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Partition, String> {
        let catalogue = Arc::clone(&self.catalogue);
        let (folder, marks, losses) = match state {
            Some(bytes) => {
                let kept: Kept<fold::State, HighWater, Losses> =
                    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?;
                (Folder::restore(catalogue, kept.folder), kept.marks, kept.losses)
            }
            None => (
                Folder::new(catalogue, partition),
                HighWater::default(),
                Losses::default(),
            ),
        };
        Ok(Partition {
            codec: Codec::new().map_err(|error| error.to_string())?,
            folder,
            marks,
            losses,
            open_episodes: self.metrics.open_episodes(partition),
            metrics: self.metrics.clone(),
        })
    }

    fn migrate(&self, _partition: u16, version: u32, _state: &[u8]) -> Result<Partition, String> {
        Err(format!(
            "version {version} counted by other rows: what is still in the stream is counted again"
        ))
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
        if self.marks.admit(&batch.header, received + unknown) == Admission::Repeated {
            return Ok(Applied::default());
        }
        self.lost(UNKNOWN_KIND, unknown);
        for (reason, count) in self.marks.take_forgotten() {
            self.metrics.evict(reason, count);
        }
        let mut report = self.folder.apply(message.sequence, &batch);
        let evicted = self.folder.take_evicted();
        self.metrics.evict(EVICTED, evicted);
        self.lost(EVICTED, evicted);
        metrics::set(&self.open_episodes, self.folder.open_episodes());
        if let Some(report) = &mut report {
            let losses = self.losses.due(Episodes::NAME, message.stored_ns);
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
        self.losses.add(reason, count);
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        let kept = Kept {
            folder: self.folder.state(),
            marks: &self.marks,
            losses: &self.losses,
        };
        rmp_serde::to_vec_named(&kept).map_err(|error| error.to_string())
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
