//! How far a partition has been worked on, and the state of the work at that moment.

use async_nats::jetstream::kv::{Entry, Store, UpdateErrorKind};
use bus_schema::names::CHECKPOINTS_BUCKET;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::connection::Bus;
use crate::streams;

/// Values of a bucket are messages; what a state has beyond this size is cut into pieces of it.
const PIECE_BYTES: usize = 512 * 1024;
/// zstd level of a state.
const LEVEL: i32 = 1;
/// A state may not be larger.
const MOST_STATE_BYTES: usize = 256 * 1024 * 1024;
/// Whoever reads while somebody writes finds pieces gone, and reads the newer head instead; this often at most.
const MOST_READS: u32 = 5;

/// State after the message `sequence` of the partition's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Last message whose effects are contained and published.
    pub sequence: u64,
    /// The worker's state.
    pub state: Vec<u8>,
}

/// The entry that makes a checkpoint: its first piece, and where the others are. No two heads share pieces, so nobody can
/// change what a head stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    sequence: u64,
    epoch: u64,
    /// Number of the checkpoint within its lease.
    number: u64,
    /// CRC-32 of all pieces.
    crc: u32,
    first: Bytes,
    /// Pieces besides the first.
    others: u32,
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
        /// The message it was written after; 0 where even that is not known.
        sequence: u64,
        /// What is wrong.
        what: String,
    },
    /// It is written, but what it replaced could not be removed.
    #[error("the former checkpoint of {key} could not be removed; may this user purge the bucket's stream?")]
    Purge {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::stream::PurgeError,
    },
    /// The state is larger than can be read again.
    #[error("state of {key} has {bytes} bytes, {MOST_STATE_BYTES} at most can be kept")]
    TooLarge {
        /// Which.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// The state could not be packed.
    #[error("state of {key} could not be packed")]
    Pack {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The head is not the one that was seen last.
    fn is_overtaken(&self) -> bool {
        matches!(self, Self::Head { source, .. } if source.kind() == UpdateErrorKind::WrongLastRevision)
    }
}

/// The checkpoints of one partition, written under one lease.
#[derive(Debug)]
pub struct Checkpoints {
    store: Store,
    key: String,
    epoch: u64,
    /// Revision of the head; 0 where there is none.
    revision: u64,
    number: u64,
    /// The head has pieces of its own, to be removed with it.
    has_pieces: bool,
}

impl Checkpoints {
    /// Opens the checkpoints of `partition` of `stage` for the holder of the lease `epoch`.
    ///
    /// # Errors
    /// When there is no bucket.
    pub async fn open(bus: &Bus, stage: &str, partition: u16, epoch: u64) -> Result<Self, streams::Error> {
        Ok(Self {
            store: streams::bucket(bus, CHECKPOINTS_BUCKET).await?,
            key: format!("{stage}.{partition}"),
            epoch,
            revision: 0,
            number: 0,
            has_pieces: false,
        })
    }

    /// The last checkpoint.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it makes no sense; the next one written takes its place.
    pub async fn read(&mut self) -> Result<Option<Checkpoint>, Error> {
        let mut reads = 1;
        loop {
            let Some(head) = self.head().await? else {
                return Ok(None);
            };
            match self.state(&head).await {
                Ok(state) => {
                    let sequence = head.sequence;
                    return Ok(Some(Checkpoint { sequence, state }));
                }
                Err(error) if reads == MOST_READS || !self.has_newer_head().await? => return Err(error),
                Err(_) => reads += 1,
            }
        }
    }

    /// Writes a checkpoint, pieces first; the head makes it valid, and only if nobody with a later lease has written since.
    ///
    /// # Errors
    /// [`Error::Fenced`] where somebody has. After [`Error::Purge`] it is written nevertheless.
    pub async fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let packed = self.pack(&checkpoint.state)?;
        if let Err(error) = self.put(checkpoint.sequence, &packed).await {
            if !error.is_overtaken() {
                return Err(error);
            }
            // By ourselves, if only the acknowledgement was lost, or by the last word of a former holder, who may have
            // removed our pieces: all of it once more, after that.
            match self.head().await {
                Ok(_) | Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            self.put(checkpoint.sequence, &packed).await?;
        }
        Ok(())
    }

    fn pack(&self, state: &[u8]) -> Result<Bytes, Error> {
        let (key, bytes) = (self.key.clone(), state.len());
        if bytes > MOST_STATE_BYTES {
            return Err(Error::TooLarge { key, bytes });
        }
        let packed = zstd::bulk::compress(state, LEVEL);
        Ok(packed.map_err(|source| Error::Pack { key, source })?.into())
    }

    async fn put(&mut self, sequence: u64, packed: &Bytes) -> Result<(), Error> {
        self.number += 1;
        let (first, rest) = packed.split_at(packed.len().min(PIECE_BYTES));
        let (mut others, mut begin) = (0, 0);
        for piece in rest.chunks(PIECE_BYTES) {
            let revision = self.put_piece(others, packed.slice_ref(piece)).await?;
            begin = if others == 0 { revision } else { begin };
            others += 1;
        }
        let head = Head {
            sequence,
            epoch: self.epoch,
            number: self.number,
            crc: crc32fast::hash(packed),
            first: packed.slice_ref(first),
            others,
        };
        self.put_head(&head).await?;
        let had_pieces = std::mem::replace(&mut self.has_pieces, others > 0);
        match (others > 0, had_pieces) {
            (true, _) => self.purge(begin).await,
            (false, true) => self.purge(self.revision).await,
            (false, false) => Ok(()),
        }
    }

    async fn put_piece(&self, piece: u32, bytes: Bytes) -> Result<u64, Error> {
        let key = self.piece_key(self.epoch, self.number, piece);
        let written = self.store.put(key, bytes).await;
        written.map_err(|source| Error::Write {
            key: self.key.clone(),
            source,
        })
    }

    async fn put_head(&mut self, head: &Head) -> Result<(), Error> {
        let bytes = rmp_serde::to_vec_named(head).map_err(|error| self.damaged(head.sequence, &error))?;
        let written = self.store.update(&self.key, bytes.into(), self.revision).await;
        self.revision = written.map_err(|source| Error::Head {
            key: self.key.clone(),
            source,
        })?;
        Ok(())
    }

    /// Removes all pieces that were written before the revision `begin`: whoever wrote them, no head needs them.
    async fn purge(&self, begin: u64) -> Result<(), Error> {
        let pieces = format!("{}{}.piece.>", self.store.prefix, self.key);
        let purged = self.store.stream.purge().sequence(begin).filter(pieces).await;
        purged.map(drop).map_err(|source| Error::Purge {
            key: self.key.clone(),
            source,
        })
    }

    async fn head(&mut self) -> Result<Option<Head>, Error> {
        let entry = self.entry(self.key.clone()).await?;
        self.revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let Some(entry) = entry.filter(|entry| !entry.value.is_empty()) else {
            return Ok(None);
        };
        let head: Head = rmp_serde::from_slice(&entry.value).map_err(|error| self.damaged(0, &error))?;
        if head.epoch > self.epoch {
            return Err(Error::Fenced {
                key: self.key.clone(),
            });
        }
        self.has_pieces = head.others > 0;
        Ok(Some(head))
    }

    async fn has_newer_head(&self) -> Result<bool, Error> {
        let entry = self.entry(self.key.clone()).await?;
        Ok(entry.is_some_and(|entry| entry.revision != self.revision))
    }

    async fn state(&self, head: &Head) -> Result<Vec<u8>, Error> {
        let damaged = |what: &dyn std::fmt::Display| self.damaged(head.sequence, what);
        let mut packed = head.first.to_vec();
        for piece in 0..head.others {
            let entry = self.entry(self.piece_key(head.epoch, head.number, piece)).await?;
            let entry = entry.ok_or_else(|| damaged(&"a piece is missing"))?;
            packed.extend_from_slice(&entry.value);
        }
        if crc32fast::hash(&packed) != head.crc {
            return Err(damaged(&"its checksum is wrong"));
        }
        zstd::bulk::decompress(&packed, bound(&packed)).map_err(|error| damaged(&error))
    }

    async fn entry(&self, key: String) -> Result<Option<Entry>, Error> {
        let entry = self.store.entry(key).await;
        entry.map_err(|source| Error::Read {
            key: self.key.clone(),
            source,
        })
    }

    fn piece_key(&self, epoch: u64, number: u64, piece: u32) -> String {
        format!("{}.piece.{epoch}.{number}.{piece}", self.key)
    }

    fn damaged(&self, sequence: u64, what: &dyn std::fmt::Display) -> Error {
        Error::Damaged {
            key: self.key.clone(),
            sequence,
            what: what.to_string(),
        }
    }
}

fn bound(packed: &[u8]) -> usize {
    let said = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    said.and_then(|size| usize::try_from(size).ok())
        .unwrap_or(MOST_STATE_BYTES)
        .min(MOST_STATE_BYTES)
}
