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
/// the stream holds what it held, and how many messages these are.
pub(super) async fn from_nothing(bus: &Bus) -> Result<(f64, u64)> {
    let expected = settled(bus).await?;
    let former = enrichers();
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await?;
    stream
        .purge()
        .await
        .context("the stream of relations cannot be emptied")?;
    let enricher = "app.kubernetes.io/component=enricher";
    kubectl(&["-n", "tapio", "delete", "pods", "-l", enricher, "--wait=false"]).await?;
    let patience = Instant::now() + PATIENCE;
    until(patience, || async {
        Ok(enrichers().difference(&former).next().is_some())
    })
    .await?;
    let began = Instant::now();
    until(patience, || async { Ok(told(bus).await? >= expected) }).await?;
    Ok((began.elapsed().as_secs_f64(), expected))
}

/// How many messages there are when they do not become more.
async fn settled(bus: &Bus) -> Result<u64> {
    let (mut since, mut count) = (Instant::now(), 0);
    let patience = since + PATIENCE;
    while since.elapsed() < COMPLETE {
        let now = told(bus).await?;
        if now != count {
            (since, count) = (Instant::now(), now);
        }
        if Instant::now() > patience {
            bail!("relations do not settle");
        }
        sleep(INTERVAL).await;
    }
    Ok(count)
}

async fn told(bus: &Bus) -> Result<u64> {
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await?;
    Ok(stream.cached_info().state.messages)
}

async fn until<F: Future<Output = Result<bool>>>(patience: Instant, is_so: impl Fn() -> F) -> Result<()> {
    while !is_so().await? {
        if Instant::now() > patience {
            bail!("the enrichers did not come back within {} s", PATIENCE.as_secs());
        }
        sleep(INTERVAL).await;
    }
    Ok(())
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
