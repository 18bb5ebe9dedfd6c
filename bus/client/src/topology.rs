//! The compacted stream of relations: what it holds now, and the newest of a subject.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use bus_schema::names::{PUBLISH_TIMEOUT, TOPOLOGY, TOPOLOGY_STREAM};

use crate::connection::Bus;
use crate::publisher::{Error, Outgoing};
use crate::reader::{Incoming, Item, Reader};

/// Longest wait for all that the stream holds.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// After so long without a message it is asked whether there is another one.
const QUIET: Duration = Duration::from_millis(500);

/// Why it is not known what the stream holds.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bus does not say how far the stream goes.
    #[error("the stream of relations cannot be looked at")]
    Look(#[source] GetStreamError),
    /// It was not read in time.
    #[error("the stream of relations was not read within {} s", READ_TIMEOUT.as_secs())]
    Timeout,
}

/// The newest message of each subject.
///
/// # Errors
/// When the bus does not answer.
pub async fn newest(bus: &Bus) -> Result<Vec<Incoming>, ReadError> {
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await;
    let stream = stream.map_err(ReadError::Look)?;
    let state = &stream.cached_info().state;
    let mut messages = Vec::new();
    if state.messages == 0 {
        return Ok(messages);
    }
    let last = state.last_sequence;
    let mut reader = Reader::new(bus, TOPOLOGY_STREAM, 0).compacted();
    let reading = async {
        while reader.cursor() < last {
            match tokio::time::timeout(QUIET, reader.next()).await {
                Ok(Item::Message(message)) => {
                    // The last one may have been removed meanwhile …
                    let is_last = message.pending == 0;
                    messages.push(message);
                    if is_last {
                        break;
                    }
                }
                // … even after this reader was told that it would come.
                Err(_) if is_read(&stream, reader.cursor()).await => break,
                Ok(_) | Err(_) => {}
            }
        }
    };
    let read = tokio::time::timeout(READ_TIMEOUT, reading).await;
    read.map_err(|_| ReadError::Timeout)?;
    Ok(messages)
}

/// Whether there is certainly no message behind `cursor`.
async fn is_read(stream: &Stream, cursor: u64) -> bool {
    let next = stream.get_first_raw_message_by_subject(format!("{TOPOLOGY}.>"), cursor + 1);
    let refused = next.await.err().map(|error| error.kind());
    matches!(refused, Some(RawMessageErrorKind::NoMessageFound))
}

/// Makes `message` the newest of its subject, for good or until its time is over; waits for the server to have it,
/// [`PUBLISH_TIMEOUT`] at most.
///
/// # Errors
/// When the server does not confirm it.
pub async fn put(bus: &Bus, message: &Outgoing, max_age: Option<Duration>) -> Result<(), Error> {
    let publish = message.to_publish();
    let publish = match max_age {
        Some(max_age) => publish.ttl(max_age),
        None => publish,
    };
    let acknowledged = async {
        let sent = bus.jetstream().send_publish(message.subject.clone(), publish);
        sent.await?.await
    };
    match tokio::time::timeout(PUBLISH_TIMEOUT, acknowledged).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(Error::Publish(source)),
        Err(_) => Err(Error::Timeout),
    }
}
