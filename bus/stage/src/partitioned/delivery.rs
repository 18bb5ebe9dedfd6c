//! One output on its way to the bus.
//!
//! Outputs are handed to the connection one after the other, which keeps their order, and their acknowledgements are
//! awaited together, which keeps the pace. What is not acknowledged is published again until it is; its id makes a repetition
//! harmless, and readers allow for neighbours that changed places. Only what is larger than the bus ever takes is given up.

use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use bus_client::Bus;
use bus_client::publisher::{Outgoing, publish};
use bus_schema::names::PUBLISH_TIMEOUT;

use super::{Output, Put};

/// First and longest delay before something is published again.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What became of an output.
#[derive(Debug)]
pub(super) enum Delivered {
    /// The server has it, with so many events.
    Sent(u64),
    /// The server would never take it, with so many events.
    TooLarge(u64),
}

/// Hands the output to the connection; the future ends when the server has it.
pub(super) async fn start(bus: &Bus, output: Output) -> impl Future<Output = Delivered> + Send + use<> {
    let message = &output.message;
    let sending = bus
        .jetstream()
        .send_publish(message.subject.clone(), message.to_publish());
    let sent = tokio::time::timeout(PUBLISH_TIMEOUT, sending).await;
    finish(bus.clone(), output, sent.ok().and_then(Result::ok))
}

async fn finish(bus: Bus, output: Output, sent: Option<PublishAckFuture>) -> Delivered {
    let Output { message, put } = output;
    let is_acknowledged = match sent {
        Some(acknowledgement) => matches!(
            tokio::time::timeout(PUBLISH_TIMEOUT, acknowledgement).await,
            Ok(Ok(_))
        ),
        None => false,
    };
    let is_taken = (is_acknowledged || publish_until_taken(&bus, &message).await)
        && match put {
            Some(put) => publish_until_taken(&bus, &entry(put)).await,
            None => true,
        };
    if is_taken {
        Delivered::Sent(message.events)
    } else {
        Delivered::TooLarge(message.events)
    }
}

/// Says whether the server took it in the end.
async fn publish_until_taken(bus: &Bus, message: &Outgoing) -> bool {
    let (mut delay, longest) = RETRY_DELAY;
    while let Err(error) = publish(bus, message).await {
        if error.is_too_large() {
            let (subject, id, bytes) = (&message.subject, &message.message_id, message.payload.len());
            tracing::error!(subject, id, bytes, "larger than the bus takes, given up");
            return false;
        }
        tracing::debug!(subject = message.subject, error = %error, "not acknowledged, publishing again");
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(longest);
    }
    true
}

/// An entry is a message on its key's subject.
fn entry(put: Put) -> Outgoing {
    Outgoing {
        subject: format!("$KV.{}.{}", put.bucket, put.key),
        message_id: None,
        events: 0,
        payload: put.value,
    }
}
