//! Sends one producer's batches in order, one at a time: while one is on its way the next grows, so order, back-pressure
//! and retry come for free.
//!
//! What cannot be sent waits in memory, then on disk, then the oldest is dropped and counted.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bus_schema::names::PUBLISH_TIMEOUT;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::connection::Bus;
use crate::losses::Losses;
use crate::spool::Spool;

/// Memory for batches that wait, unless told otherwise; beyond it they go to disk.
pub const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Delay after a failed attempt, doubled up to the longest.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its subject.
    pub subject: String,
    /// Its id, by which the server drops a repetition; `None` where one does no harm.
    pub message_id: Option<String>,
    /// How many events it carries, for the count of what is lost with it.
    pub events: u64,
    /// Its body.
    pub payload: Bytes,
}

impl Outgoing {
    /// What is handed to JetStream.
    pub fn to_publish(&self) -> PublishMessage {
        let message = PublishMessage::build().payload(self.payload.clone());
        match &self.message_id {
            Some(id) => message.message_id(id),
            None => message,
        }
    }
}

/// How a publisher gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events that the server has confirmed since the last time.
    pub sent: u64,
    /// Messages that wait in memory.
    pub waiting: usize,
}

/// One producer's way to the bus.
pub struct Publisher {
    bus: Bus,
    ring: VecDeque<Outgoing>,
    ring_bytes: usize,
    most_ring_bytes: usize,
    spool: Option<Spool>,
    losses: Losses,
    watcher: Box<dyn FnMut(Progress) + Send>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("waiting", &self.ring.len())
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl Publisher {
    /// A publisher that puts what does not fit into memory into `spool`, where there is one.
    pub fn new(bus: Bus, spool: Option<Spool>, losses: Losses) -> Self {
        Self {
            bus,
            ring: VecDeque::new(),
            ring_bytes: 0,
            most_ring_bytes: BUFFER_BYTES,
            spool,
            losses,
            watcher: Box::new(|_| ()),
        }
    }

    /// Keeps at most so much in memory.
    #[must_use]
    pub fn buffering(self, bytes: usize) -> Self {
        Self {
            most_ring_bytes: bytes,
            ..self
        }
    }

    /// Tells `watcher` whenever it got on.
    #[must_use]
    pub fn watched_by(self, watcher: impl FnMut(Progress) + Send + 'static) -> Self {
        Self {
            watcher: Box::new(watcher),
            ..self
        }
    }

    /// Sends what comes until `queue` is closed and everything is sent, or `stop` is cancelled; then what is left goes to
    /// the spool.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Outgoing>, stop: CancellationToken) {
        let bus = self.bus.clone();
        let mut is_closed = false;
        let mut attempt = 0;
        while !(is_closed && self.is_idle()) {
            if self.is_idle() {
                tokio::select! {
                    received = queue.recv() => match received {
                        Some(message) => self.keep(message),
                        None => is_closed = true,
                    },
                    () = stop.cancelled() => break,
                }
                continue;
            }
            let Some((message, from_spool)) = self.oldest() else {
                continue;
            };
            let sending = send(&bus, &message, attempt);
            tokio::pin!(sending);
            let sent = loop {
                tokio::select! {
                    sent = &mut sending => break sent,
                    received = queue.recv(), if !is_closed => match received {
                        Some(message) => self.keep(message),
                        None => is_closed = true,
                    },
                    () = stop.cancelled() => return self.save(queue),
                }
            };
            if sent == Sent::Again {
                attempt += 1;
                continue;
            }
            attempt = 0;
            self.forget(&message, from_spool);
            if sent == Sent::TooLarge {
                self.losses.add("too_large", message.events);
            }
            self.tell(if sent == Sent::Taken { message.events } else { 0 });
        }
        self.save(queue);
    }

    fn tell(&mut self, sent: u64) {
        let waiting = self.ring.len();
        (self.watcher)(Progress { sent, waiting });
    }

    fn is_idle(&self) -> bool {
        self.ring.is_empty() && self.spool.as_ref().is_none_or(Spool::is_empty)
    }

    /// What is on disk is older than what is in memory.
    fn oldest(&mut self) -> Option<(Outgoing, bool)> {
        while let Some(record) = self.spool.as_mut().and_then(Spool::front) {
            match rmp_serde::from_slice(record) {
                Ok(message) => return Some((message, true)),
                Err(error) => {
                    tracing::warn!(error = %error, "spooled batch is not readable, skipped");
                    self.spool.as_mut().into_iter().for_each(Spool::give_up);
                }
            }
        }
        self.ring.front().map(|message| (message.clone(), false))
    }

    /// Forgets the message that was on its way. From memory it may have moved to disk meanwhile: then it goes once more,
    /// under the same id.
    fn forget(&mut self, sent: &Outgoing, from_spool: bool) {
        if from_spool {
            self.spool.as_mut().into_iter().for_each(Spool::pop);
        } else if self.ring.front() == Some(sent)
            && let Some(message) = self.ring.pop_front()
        {
            self.ring_bytes -= message.payload.len();
        }
    }

    fn keep(&mut self, message: Outgoing) {
        self.ring_bytes += message.payload.len();
        self.ring.push_back(message);
        while self.ring_bytes > self.most_ring_bytes {
            let Some(oldest) = self.ring.pop_front() else {
                return;
            };
            self.ring_bytes -= oldest.payload.len();
            self.spill(&oldest);
        }
        self.tell(0);
    }

    fn spill(&mut self, message: &Outgoing) {
        let Some(spool) = &mut self.spool else {
            return self.losses.add("ram_ring", message.events);
        };
        let Ok(record) = rmp_serde::to_vec_named(message) else {
            return self.losses.add("disk_error", message.events);
        };
        spool.append(&record, message.events);
    }

    /// What was not sent goes to disk, for the next run.
    fn save(mut self, mut queue: mpsc::Receiver<Outgoing>) {
        while let Ok(message) = queue.try_recv() {
            self.keep(message);
        }
        let left = std::mem::take(&mut self.ring);
        if !left.is_empty() {
            let events: u64 = left.iter().map(|message| message.events).sum();
            let is_kept = self.spool.is_some();
            tracing::warn!(batches = left.len(), events, is_kept, "not sent before the end");
        }
        for message in left {
            self.spill(&message);
        }
    }
}

/// What became of an attempt to send.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// The server has it.
    Taken,
    /// The server would never take it.
    TooLarge,
    /// It has to be sent again.
    Again,
}

/// Sends one message and waits for the server to have it. After a failure the next attempt waits first.
async fn send(bus: &Bus, message: &Outgoing, attempt: u32) -> Sent {
    if attempt > 0 {
        let (first, longest) = RETRY_DELAY;
        tokio::time::sleep(first.saturating_mul(1 << attempt.min(6)).min(longest)).await;
    }
    match publish(bus, message).await {
        Ok(()) => Sent::Taken,
        Err(error) if error.is_too_large() => {
            let (subject, bytes) = (&message.subject, message.payload.len());
            tracing::error!(subject, bytes, "larger than the bus takes, given up");
            Sent::TooLarge
        }
        Err(error) => {
            tracing::debug!(subject = message.subject, error = %error, "batch not acknowledged, will be sent again");
            Sent::Again
        }
    }
}

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection did not take it, or the server did not confirm it, in time.
    #[error("no acknowledgement within {} s", PUBLISH_TIMEOUT.as_secs())]
    Timeout,
    /// The server refused it.
    #[error("publish failed")]
    Publish(#[source] async_nats::jetstream::context::PublishError),
}

impl Error {
    /// Whether the message is larger than the server ever takes.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Publish(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded)
    }
}

/// Publishes and waits for the acknowledgement, [`PUBLISH_TIMEOUT`] at most.
pub async fn publish(bus: &Bus, message: &Outgoing) -> Result<(), Error> {
    let acknowledged = async {
        let acknowledgement = bus
            .jetstream()
            .send_publish(message.subject.clone(), message.to_publish())
            .await?;
        acknowledgement.await
    };
    match tokio::time::timeout(PUBLISH_TIMEOUT, acknowledged).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(Error::Publish(source)),
        Err(_) => Err(Error::Timeout),
    }
}
