//! The whole pipeline on this host under the steady load of the shop: is the memory of every process flat?

pub mod judge;
mod processes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::process::{Process, beside, free_address, resident_kb};
use crate::server::nats_server;
use judge::Judgement;

/// The pipeline has this long to get ready.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The memory of one process.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Its program.
    pub process: String,
    /// What it needed over time.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Memory {
    /// Whether it stayed within bounds.
    pub fn is_flat(&self) -> bool {
        self.judgement.flat
    }
}

/// Runs the pipeline for that long beside that many shops, each asked that often a second.
///
/// # Errors
/// When something cannot be started or does not get ready.
pub async fn soak(length: Duration, shops: u32, rate: u32) -> Result<Vec<Memory>> {
    let folder = tempfile::tempdir()?;
    let lock = folder.path().join("lock");
    let pipeline = Process::start(
        &beside("tapio")?,
        &["up"],
        &[
            ("TAPIO_LOCK", lock.to_string_lossy().into_owned()),
            ("TAPIO_NATS_SERVER", nats_server()?.to_string_lossy().into_owned()),
        ],
    )?;
    ready(&lock).await?;
    let shops = (0..shops).map(|_| open_shop(rate)).collect::<Result<Vec<_>>>()?;
    let memory = watch(pipeline.pid(), length).await;
    drop(shops);
    drop(pipeline);
    memory
}

/// The lock says where the bus is as soon as everything runs.
async fn ready(lock: &Path) -> Result<()> {
    let announced = async {
        loop {
            let text = std::fs::read(lock).unwrap_or_default();
            let holder: Value = serde_json::from_slice(&text).unwrap_or_default();
            if holder.get("nats_url").is_some() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, announced)
        .await
        .context("the pipeline did not get ready")
}

/// Cache, gateway and users; they end with what is returned.
fn open_shop(rate: u32) -> Result<[Process; 3]> {
    let (cache, gateway, rate) = (free_address()?, free_address()?, rate.to_string());
    let (program, target) = (beside("tapio-shop")?, format!("http://{gateway}"));
    let start = |arguments: &[&str]| Process::start(&program, arguments, &[]);
    Ok([
        start(&["cache", "--listen", &cache])?,
        start(&["gateway", "--listen", &gateway, "--cache", &cache])?,
        start(&["users", "--target", &target, "--rate", &rate])?,
    ])
}

async fn watch(root: u32, length: Duration) -> Result<Vec<Memory>> {
    let family = processes::family(root);
    let mut samples: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let (mut seconds, mut taken) = (tokio::time::interval(SAMPLE_INTERVAL), 0);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + length;
    while Instant::now() < end {
        seconds.tick().await;
        taken += 1;
        for pid in family.keys() {
            let memory = resident_kb(*pid);
            samples.entry(*pid).or_default().extend(memory);
        }
    }
    let judge = |(pid, process): (u32, String)| {
        let judgement = Judgement::of(samples.get(&pid)?, taken)?;
        Some(Memory { process, judgement })
    };
    let mut memory: Vec<_> = family.into_iter().filter_map(judge).collect();
    memory.sort_by(|a, b| a.process.cmp(&b.process));
    if memory.is_empty() {
        bail!("no process of the pipeline was seen");
    }
    Ok(memory)
}
