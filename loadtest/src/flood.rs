//! Publishing as fast as the bus takes it, a window of messages on their way.

use anyhow::{Result, anyhow};
use async_nats::jetstream::message::PublishMessage;
use bus_client::Bus;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

/// Messages on their way at a time; more only adds latency.
const WINDOW: usize = 64;

/// Publishes every message on `subject` and waits for the last acknowledgement.
///
/// # Errors
/// The first publish that fails.
pub async fn publish(
    bus: &Bus,
    subject: &str,
    messages: impl IntoIterator<Item = (String, Bytes)>,
) -> Result<()> {
    let mut on_their_way = FuturesOrdered::new();
    for (id, payload) in messages {
        let message = PublishMessage::build().message_id(&id).payload(payload);
        on_their_way.push_back(
            bus.jetstream()
                .send_publish(subject.to_owned(), message)
                .await?
                .into_future(),
        );
        if on_their_way.len() >= WINDOW {
            on_their_way
                .next()
                .await
                .ok_or_else(|| anyhow!("no acknowledgement"))??;
        }
    }
    while let Some(acknowledged) = on_their_way.next().await {
        acknowledged?;
    }
    Ok(())
}
