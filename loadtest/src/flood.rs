//! Publishing as fast as the bus takes it, a window of messages on their way.

use anyhow::{Result, anyhow};
use bus_client::Bus;
use bus_client::publisher::Outgoing;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

/// Messages on their way at a time; more only adds latency.
const WINDOW: usize = 64;

/// Publishes every message and waits for the last acknowledgement.
///
/// # Errors
/// The first publish that fails.
pub async fn publish(bus: &Bus, messages: impl IntoIterator<Item = Outgoing>) -> Result<()> {
    let mut on_their_way = FuturesOrdered::new();
    for message in messages {
        let publish = message.to_publish();
        let sent = bus.jetstream().send_publish(message.subject, publish).await?;
        on_their_way.push_back(sent.into_future());
        if on_their_way.len() >= WINDOW {
            let acknowledged = on_their_way.next().await;
            acknowledged.ok_or_else(|| anyhow!("no acknowledgement"))??;
        }
    }
    while let Some(acknowledged) = on_their_way.next().await {
        acknowledged?;
    }
    Ok(())
}
