//! Reads a stream in order from a cursor that the reader itself owns.
//!
//! The server keeps no durable state for it: after a lost connection, a missed heartbeat or a vanished consumer a new
//! ephemeral consumer begins right after the last message that was handed out.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, StreamError, pull};
use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::connection::{Bus, Status};
use crate::streams::is_not_there;

/// Messages asked for at a time.
const PREFETCH: usize = 500;
/// The server says that it is alive at least this often; two misses and the consumer is made anew.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The server forgets a consumer nobody reads.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(30);
/// Delay before a consumer is made anew.
const REBUILD_DELAY: Duration = Duration::from_millis(200);

/// One thing that a reader hands out.
#[derive(Debug)]
pub enum Item {
    /// The next message.
    Message(Incoming),
    /// Messages that the stream no longer holds: they were removed before they were read.
    Gap {
        /// How many.
        missed: u64,
    },
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Sequence in its stream.
    pub sequence: u64,
    /// When the server stored it, UNIX ns.
    pub stored_ns: u64,
    /// Messages behind it in the stream when it was delivered.
    pub pending: u64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
}

/// Why a stream cannot be read at the moment.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("stream cannot be opened")]
    Stream(#[source] GetStreamError),
    #[error("consumer cannot be created")]
    Consumer(#[source] stream::ConsumerError),
    #[error("messages cannot be asked for")]
    Messages(#[source] StreamError),
}

/// A reader of one stream.
pub struct Reader {
    bus: Bus,
    stream: String,
    /// Sequence of the last message handed out.
    cursor: u64,
    /// What is no longer there was replaced by something newer.
    is_compacted: bool,
    status: watch::Receiver<Status>,
    messages: Option<pull::Stream>,
    /// The message behind a gap that was just handed out.
    behind_gap: Option<Incoming>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of `stream` that begins after sequence `cursor`; 0 is the beginning.
    pub fn new(bus: &Bus, stream: &str, cursor: u64) -> Self {
        Self {
            bus: bus.clone(),
            stream: stream.to_owned(),
            cursor,
            is_compacted: false,
            status: bus.status(),
            messages: None,
            behind_gap: None,
        }
    }

    /// Reads a stream that keeps the newest message of each subject only: what is no longer there was not missed.
    #[must_use]
    pub fn compacted(self) -> Self {
        Self {
            is_compacted: true,
            ..self
        }
    }

    /// A reader of `stream` that begins with the next message to come. Of a stream that is yet to be made, that is the first.
    ///
    /// # Errors
    /// When the bus does not say how far the stream has come.
    pub async fn from_now(bus: &Bus, stream: &str) -> Result<Self, GetStreamError> {
        let last = match bus.jetstream().get_stream(stream).await {
            Ok(stream) => stream.cached_info().state.last_sequence,
            Err(error) if is_not_there(&error) => 0,
            Err(error) => return Err(error),
        };
        Ok(Self::new(bus, stream, last))
    }

    /// Sequence of the last message handed out.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next item. Waits through outages; safe to drop at any await.
    pub async fn next(&mut self) -> Item {
        if let Some(message) = self.behind_gap.take() {
            return self.hand_out(message);
        }
        loop {
            let Some(messages) = &mut self.messages else {
                if let Err(error) = self.open().await {
                    tracing::debug!(stream = self.stream, error = %error, "stream cannot be read yet");
                    tokio::time::sleep(REBUILD_DELAY).await;
                }
                continue;
            };
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(message)) => if let Some(item) = self.take(&message) { return item },
                    Some(Err(_)) | None => self.messages = None,
                },
                _ = self.status.changed() => self.messages = None,
            }
        }
    }

    fn take(&mut self, message: &jetstream::Message) -> Option<Item> {
        let info = message.info().ok()?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let stored_ns = u64::try_from(info.published.unix_timestamp_nanos()).unwrap_or(0);
        if sequence <= self.cursor {
            return None;
        }
        let message = Incoming {
            sequence,
            stored_ns,
            pending,
            subject: message.subject.to_string(),
            payload: message.payload.clone(),
        };
        // Where a reader without a cursor begins is the beginning.
        let missed = sequence - self.cursor - 1;
        if missed > 0 && self.cursor > 0 && !self.is_compacted {
            self.cursor = sequence - 1;
            self.behind_gap = Some(message);
            return Some(Item::Gap { missed });
        }
        Some(self.hand_out(message))
    }

    fn hand_out(&mut self, message: Incoming) -> Item {
        self.cursor = message.sequence;
        Item::Message(message)
    }

    /// Makes a consumer that begins after the cursor.
    async fn open(&mut self) -> Result<(), Error> {
        self.status.mark_unchanged();
        let stream = self
            .bus
            .jetstream()
            .get_stream(&self.stream)
            .await
            .map_err(Error::Stream)?;
        let state = &stream.cached_info().state;
        if state.last_sequence < self.cursor {
            // The stream was made anew: its numbers have nothing to do with ours.
            let (stream, cursor, last) = (&self.stream, self.cursor, state.last_sequence);
            tracing::warn!(stream, cursor, last, "stream begins again");
            self.cursor = state.first_sequence.saturating_sub(1);
        }
        let deliver_policy = DeliverPolicy::ByStartSequence {
            start_sequence: self.cursor + 1,
        };
        let config = pull::Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: INACTIVE_THRESHOLD,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(Error::Consumer)?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PREFETCH)
            .heartbeat(HEARTBEAT)
            .messages();
        self.messages = Some(messages.await.map_err(Error::Messages)?);
        Ok(())
    }
}
