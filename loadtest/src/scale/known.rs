//! How long an enricher that starts takes until it has told who is related to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bus_client::Bus;
use bus_schema::names::TOPOLOGY_STREAM;
use tokio::time::{Instant, sleep};

use crate::campaign::cluster::kubectl;

/// The enricher's name as a process: the kernel keeps fifteen bytes.
const ENRICHER: &str = "tapio-enricher";
/// What does not grow any more for this long is complete.
const COMPLETE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);
const INTERVAL: Duration = Duration::from_millis(20);

/// Empties the stream of relations and replaces all enrichers. Gives the seconds from the start of the first new process until
/// the last relation was told, and how many messages there are then.
pub(super) async fn from_nothing(bus: &Bus) -> Result<(f64, u64)> {
    let (_, before) = settled(bus, 1).await?;
    let former = enrichers();
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await?;
    stream
        .purge()
        .await
        .context("the stream of relations cannot be emptied")?;
    let enricher = "app.kubernetes.io/component=enricher";
    kubectl(&["-n", "tapio", "delete", "pods", "-l", enricher, "--wait=false"]).await?;
    let patience = Instant::now() + PATIENCE;
    while enrichers().difference(&former).next().is_none() {
        if Instant::now() > patience {
            bail!("the enrichers did not come back within {} s", PATIENCE.as_secs());
        }
        sleep(INTERVAL).await;
    }
    let began = Instant::now();
    // What had ended is not told again.
    let (last, told) = settled(bus, before / 2).await?;
    Ok((last.saturating_duration_since(began).as_secs_f64(), told))
}

/// When the number of messages, at least so many, was the last one to change, and what it is.
async fn settled(bus: &Bus, least: u64) -> Result<(Instant, u64)> {
    let (mut since, mut count) = (Instant::now(), 0);
    let patience = since + PATIENCE;
    while since.elapsed() < COMPLETE || count < least {
        let now = told(bus).await?;
        if now != count {
            (since, count) = (Instant::now(), now);
        }
        if Instant::now() > patience {
            bail!(
                "{count} relations after {} s, and they do not settle",
                PATIENCE.as_secs()
            );
        }
        sleep(INTERVAL).await;
    }
    Ok((since, count))
}

async fn told(bus: &Bus) -> Result<u64> {
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await?;
    Ok(stream.cached_info().state.messages)
}

fn enrichers() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.is_ok_and(|comm| comm.trim_end() == ENRICHER)
        })
        .collect()
}
