//! Publishing as observers do: every node through a publisher of its own, which waits for each acknowledgement.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bus_client::Bus;
use bus_client::losses::Losses;
use bus_client::publisher::{Outgoing, Publisher};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Publishes all, each subject's messages in order, and waits for the last acknowledgement.
///
/// # Errors
/// When a message was given up.
pub async fn publish(bus: &Bus, messages: impl IntoIterator<Item = Outgoing>) -> Result<()> {
    let mut nodes: BTreeMap<String, Vec<Outgoing>> = BTreeMap::new();
    for message in messages {
        nodes.entry(message.subject.clone()).or_default().push(message);
    }
    let losses = Losses::default();
    let mut publishers = JoinSet::new();
    for messages in nodes.into_values() {
        // The messages are in memory anyway.
        let publisher = Publisher::new(bus.clone(), None, losses.clone()).buffering(usize::MAX);
        publishers.spawn(send(publisher, messages));
    }
    for sent in publishers.join_all().await {
        sent?;
    }
    let lost = losses.take();
    ensure!(lost.is_empty(), "events were lost: {lost:?}");
    Ok(())
}

async fn send(publisher: Publisher, messages: Vec<Outgoing>) -> Result<()> {
    let (queue, waiting) = mpsc::channel(messages.len());
    for message in messages {
        queue.try_send(message)?;
    }
    drop(queue);
    publisher.run(waiting, CancellationToken::new()).await;
    Ok(())
}
