//! Tapio's own processes killed with SIGKILL while the campaign runs, at moments and in an order by seed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bus_schema::{EventId, Incident};
use bus_stage::clock::now_ns;
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::cluster;
use super::cost::with_processes;
use super::score::Revision;

/// What is killed: containers of these names, each name as often as the others.
const TARGETS: [&str; 3] = ["/tapio-correlator", "/tapio-enricher", "/nats"];
/// Until then the first faults are told without a kill.
const FIRST_AFTER: Duration = Duration::from_secs(120);
/// Where Tapio's own workloads are.
const NAMESPACE: &str = "tapio";
/// An incident about a kill has a root that began at most this much before and after it.
const BEFORE_NS: u64 = 1_000_000_000;
const AFTER_NS: u64 = 5_000_000_000;

/// One process that was killed.
#[derive(Debug, Clone, Serialize)]
pub struct Kill {
    /// UNIX ns.
    pub at_ns: u64,
    /// `pod/container`.
    pub container: String,
    /// Its main process.
    pub pid: u32,
}

impl Kill {
    /// Whether an incident has this kill as its root.
    fn is_told_by(&self, incident: &Incident) -> bool {
        incident.root_cause().is_some_and(|root| {
            let began = root.start.as_ns();
            let around = self.at_ns.saturating_sub(BEFORE_NS)..self.at_ns + AFTER_NS;
            root.entity.namespace() == NAMESPACE && around.contains(&began)
        })
    }
}

/// The revisions of incidents that tell no kill, and how many incidents tell one.
pub fn without_kills(seen: Vec<Revision>, kills: &[Kill]) -> (Vec<Revision>, usize) {
    let newest: BTreeMap<EventId, &Incident> = seen
        .iter()
        .map(|revision| (revision.incident.id, &revision.incident))
        .collect();
    let tells_kill = |incident: &Incident| kills.iter().any(|kill| kill.is_told_by(incident));
    let about_kills: BTreeSet<EventId> = newest
        .into_iter()
        .filter(|(_, incident)| tells_kill(incident))
        .map(|(id, _)| id)
        .collect();
    let rest = seen
        .into_iter()
        .filter(|revision| !about_kills.contains(&revision.incident.id))
        .collect();
    (rest, about_kills.len())
}

/// Kills until all are done. Ends with its owner.
#[derive(Debug)]
pub struct Killer {
    done: Arc<Mutex<Vec<Kill>>>,
    task: JoinHandle<()>,
}

impl Killer {
    /// So many kills at random moments of the time that the campaign lasts.
    pub fn start(count: usize, lasts: Duration, seed: u64) -> Self {
        let done = Arc::<Mutex<Vec<Kill>>>::default();
        let (known, begin) = (Arc::clone(&done), Instant::now());
        let task = tokio::spawn(async move {
            let mut chance = Rng::with_seed(seed);
            for moment in moments(count, FIRST_AFTER..lasts, &mut chance) {
                sleep_until(begin + moment).await;
                match kill_one(&mut chance).await {
                    Ok(kill) => {
                        super::say(&format!("  killed {} (process {})", kill.container, kill.pid));
                        known.lock().unwrap_or_else(PoisonError::into_inner).push(kill);
                    }
                    Err(error) => super::say(&format!("  nothing killed: {error:#}")),
                }
            }
        });
        Self { done, task }
    }

    /// What has been killed so far.
    pub fn done(&self) -> Vec<Kill> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn moments(count: usize, within: Range<Duration>, chance: &mut Rng) -> Vec<Duration> {
    let span = within.end.saturating_sub(within.start);
    let mut moments: Vec<_> = (0..count)
        .map(|_| within.start + span.mul_f64(chance.f64()))
        .collect();
    moments.sort_unstable();
    moments
}

async fn kill_one(chance: &mut Rng) -> Result<Kill> {
    let target = chance.choice(TARGETS).unwrap_or_default();
    let mut found = with_processes(cluster::containers().await?);
    found.retain(|(container, _)| container.name.ends_with(target));
    let (container, pid) = chance
        .choice(found)
        .with_context(|| format!("no process of a container named *{target} runs"))?;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let at_ns = now_ns();
    kill_process(process.context("not a process number")?, Signal::KILL)
        .with_context(|| format!("cannot kill process {pid} of {}", container.name))?;
    Ok(Kill {
        at_ns,
        container: container.name,
        pid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order_and_within_the_campaign_by_seed() {
        let within = Duration::from_secs(120)..Duration::from_secs(600);
        let of = |seed| moments(10, within.clone(), &mut Rng::with_seed(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(of(1).is_sorted());
        assert!(of(1).iter().all(|moment| within.contains(moment)));
        assert_eq!(of(1).len(), 10);
    }
}
