//! How far a partition has been worked on, and the state of the work at that moment.

use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use bus_schema::names::CHECKPOINTS_BUCKET;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::connection::Bus;
use crate::streams;

/// Values of a bucket are messages; larger states are cut into pieces of this size.
const PIECE_BYTES: usize = 512 * 1024;
/// zstd level of a state.
const LEVEL: i32 = 1;
/// A state may not unpack to more.
const MOST_STATE_BYTES: usize = 256 * 1024 * 1024;

/// State after the message `sequence` of the partition's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Last message whose effects are contained and published.
    pub sequence: u64,
    /// The worker's state.
    pub state: Vec<u8>,
}

/// The entry that makes the pieces valid.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    sequence: u64,
    epoch: u64,
    /// The pieces of two successive checkpoints have different keys.
    generation: u8,
    pieces: u32,
}

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket did not answer.
    #[error("checkpoint of {key} could not be read")]
    Read {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::kv::EntryError,
    },
    /// It was not stored.
    #[error("checkpoint of {key} could not be written")]
    Write {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::kv::PutError,
    },
    /// Its head was not stored.
    #[error("checkpoint of {key} could not be made valid")]
    Head {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::kv::UpdateError,
    },
    /// Somebody with a later lease writes here now.
    #[error("checkpoint of {key} belongs to a later lease")]
    Fenced {
        /// Which.
        key: String,
    },
    /// What is stored makes no sense.
    #[error("checkpoint of {key} is not readable: {what}")]
    Damaged {
        /// Which.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// The state could not be compressed.
    #[error("state could not be compressed")]
    Compress(#[source] std::io::Error),
}

/// The checkpoints of one partition, written under one lease.
#[derive(Debug)]
pub struct Checkpoints {
    store: Store,
    key: String,
    epoch: u64,
    revision: u64,
    generation: u8,
}

impl Checkpoints {
    /// Opens the checkpoints of `partition` of `stage` and reads the last one.
    pub async fn open(
        bus: &Bus,
        stage: &str,
        partition: u16,
        epoch: u64,
    ) -> Result<(Self, Option<Checkpoint>), OpenError> {
        let store = streams::bucket(bus, CHECKPOINTS_BUCKET).await?;
        let mut checkpoints = Self {
            store,
            key: format!("{stage}.{partition}"),
            epoch,
            revision: 0,
            generation: 0,
        };
        let last = checkpoints.read().await?;
        Ok((checkpoints, last))
    }

    /// Writes a checkpoint, pieces first; the head makes it valid, and only if nobody with a later lease has written since.
    pub async fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let packed = zstd::bulk::compress(&checkpoint.state, LEVEL).map_err(Error::Compress)?;
        let generation = 1 - self.generation;
        let mut pieces = 0;
        for piece in packed.chunks(PIECE_BYTES) {
            let key = self.piece_key(generation, pieces);
            let written = self.store.put(key, Bytes::copy_from_slice(piece)).await;
            written.map_err(|source| Error::Write {
                key: self.key.clone(),
                source,
            })?;
            pieces += 1;
        }
        let head = Head {
            sequence: checkpoint.sequence,
            epoch: self.epoch,
            generation,
            pieces,
        };
        let bytes = rmp_serde::to_vec_named(&head).map_err(|error| self.damaged(&error))?;
        let written = self.store.update(&self.key, bytes.into(), self.revision).await;
        self.revision = match written {
            Ok(revision) => revision,
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => return self.catch_up().await,
            Err(source) => {
                return Err(Error::Head {
                    key: self.key.clone(),
                    source,
                });
            }
        };
        self.generation = generation;
        Ok(())
    }

    /// The head is not the one that was written last. Ours, if only its acknowledgement was lost: then the next checkpoint
    /// succeeds. Another's: then this lease is over.
    async fn catch_up(&mut self) -> Result<(), Error> {
        self.read().await.map(drop)
    }

    async fn read(&mut self) -> Result<Option<Checkpoint>, Error> {
        let Some(entry) = self.entry(&self.key).await? else {
            return Ok(None);
        };
        self.revision = entry.revision;
        if entry.value.is_empty() {
            return Ok(None);
        }
        let head: Head = rmp_serde::from_slice(&entry.value).map_err(|error| self.damaged(&error))?;
        if head.epoch > self.epoch {
            return Err(Error::Fenced {
                key: self.key.clone(),
            });
        }
        self.generation = head.generation;
        let mut packed = Vec::new();
        for piece in 0..head.pieces {
            let key = self.piece_key(head.generation, piece);
            let entry = self
                .entry(&key)
                .await?
                .ok_or_else(|| self.damaged(&"a piece is missing"))?;
            packed.extend_from_slice(&entry.value);
        }
        let state = zstd::bulk::decompress(&packed, bound(&packed)).map_err(|error| self.damaged(&error))?;
        Ok(Some(Checkpoint {
            sequence: head.sequence,
            state,
        }))
    }

    async fn entry(&self, key: &str) -> Result<Option<async_nats::jetstream::kv::Entry>, Error> {
        let entry = self.store.entry(key).await;
        entry.map_err(|source| Error::Read {
            key: self.key.clone(),
            source,
        })
    }

    fn piece_key(&self, generation: u8, piece: u32) -> String {
        format!("{}.piece.{generation}.{piece}", self.key)
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> Error {
        Error::Damaged {
            key: self.key.clone(),
            what: what.to_string(),
        }
    }
}

/// Why the checkpoints of a partition cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no bucket.
    #[error(transparent)]
    Bucket(#[from] streams::Error),
    /// The last one cannot be used.
    #[error(transparent)]
    Last(#[from] Error),
}

fn bound(packed: &[u8]) -> usize {
    let said = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    said.and_then(|size| usize::try_from(size).ok())
        .unwrap_or(MOST_STATE_BYTES)
        .min(MOST_STATE_BYTES)
}
