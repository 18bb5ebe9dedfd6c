//! What each process of the product costs while the campaign runs: processor, memory and lag, sampled from outside.

mod page;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::cluster::{self, Container};
use crate::process::{cpu_seconds, resident_kb};
pub use summary::{Cost, LagSpan};

/// Between two samples of a process.
const INTERVAL: Duration = Duration::from_secs(2);
/// Containers are asked for this often: some are started again.
const REFRESH: Duration = Duration::from_secs(30);

/// One look at one process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Since the campaign began, in seconds.
    pub second: f64,
    /// Whose it is: a container that is started again has another process.
    pub pid: u32,
    /// Processor time so far, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_kb: u64,
    /// Event time behind the clock, for stages.
    pub lag_ms: Option<f64>,
}

type Samples = BTreeMap<String, Vec<Sample>>;

/// The sampler. Ends with its owner.
#[derive(Debug)]
pub struct Sampler {
    samples: Arc<Mutex<Samples>>,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Begins to look.
    pub fn start() -> Self {
        let samples = Arc::<Mutex<Samples>>::default();
        let task = tokio::spawn(watch(Arc::clone(&samples)));
        Self { samples, task }
    }

    /// What each process has cost so far.
    pub fn costs(&self) -> Vec<Cost> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples
            .iter()
            .filter_map(|(name, of)| Cost::of(name, of))
            .collect()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(samples: Arc<Mutex<Samples>>) {
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut found, mut asked_at) = (Vec::new(), None::<Instant>);
    loop {
        ticks.tick().await;
        if asked_at.is_none_or(|at| at.elapsed() >= REFRESH) {
            // A cluster that does not answer now does next time; what is known is looked at meanwhile.
            if let Ok(containers) = cluster::containers().await {
                found = with_processes(containers);
                asked_at = Some(Instant::now());
            }
        }
        for (container, pid) in &found {
            let second = begin.elapsed().as_secs_f64();
            if let Some(sample) = sample(container, *pid, second).await {
                let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
                samples.entry(container.name.clone()).or_default().push(sample);
            }
        }
    }
}

async fn sample(container: &Container, pid: u32, second: f64) -> Option<Sample> {
    let lag_ms = match &container.metrics {
        Some(address) => page::lag_ms(address).await,
        None => None,
    };
    Some(Sample {
        second,
        pid,
        cpu_seconds: cpu_seconds(pid)?,
        resident_kb: resident_kb(pid)?,
        lag_ms,
    })
}

/// The main process of each container: of those in its control group, the one with the smallest number.
pub(super) fn with_processes(containers: Vec<Container>) -> Vec<(Container, u32)> {
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers: BTreeSet<u32> = numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let groups: Vec<(u32, String)> = numbers
        .into_iter()
        .filter_map(|pid| Some((pid, std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)))
        .collect();
    let main = |container: Container| {
        let (pid, _) = groups.iter().find(|(_, group)| group.contains(&container.id))?;
        Some((container, *pid))
    };
    containers.into_iter().filter_map(main).collect()
}
