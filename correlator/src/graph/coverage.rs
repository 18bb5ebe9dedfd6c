//! Where observers could see, and where they were blind. What nobody looked at is not healthy, it is unknown.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::episode::Blindness;
use bus_schema::event::node;
use serde::{Deserialize, Serialize};

/// Losses count against completeness for this long.
const RECENT_NS: u64 = 60_000_000_000;
/// Most losses remembered.
const MOST_LOSSES: usize = 10_000;
/// Even the best observer misses something now and then.
const RESIDUAL: f64 = 0.02;
/// A lower rung sees most, not all.
const DEGRADED: f64 = 0.2;
/// Events were dropped, and any of them could have been the one.
const LOSSY: f64 = 0.3;

/// What the observers said of themselves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Coverage {
    /// By observer, then node, then hook.
    hooks: BTreeMap<String, BTreeMap<String, BTreeMap<String, Hook>>>,
    losses: Vec<Loss>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hook {
    coverage: node::Coverage,
    reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Loss {
    observer: String,
    time_ns: u64,
    count: u64,
    reason: String,
}

impl Coverage {
    /// Takes one report of loss or capability.
    pub(super) fn take(&mut self, blindness: &Blindness) {
        if let Some(capability) = &blindness.capability {
            let hook = Hook {
                coverage: capability.coverage,
                reason: capability.reason.clone(),
            };
            let nodes = self.hooks.entry(capability.observer.clone()).or_default();
            nodes
                .entry(blindness.node.clone())
                .or_default()
                .insert(capability.hook.clone(), hook);
        }
        if let Some((loss, count)) = &blindness.loss {
            if self.losses.len() >= MOST_LOSSES {
                self.losses.remove(0);
            }
            let (observer, reason) = (loss.observer.clone(), loss.reason.clone());
            self.losses.push(Loss {
                observer,
                time_ns: blindness.time_ns,
                count: *count,
                reason,
            });
        }
    }

    /// Probability that `observer` would have missed something on `entity` around `time_ns`.
    pub(super) fn blindness(&self, observer: &str, entity: &Entity, time_ns: u64) -> f64 {
        let Some(nodes) = self.hooks.get(observer) else {
            return 1.0;
        };
        let hooks = entity
            .node
            .as_ref()
            .and_then(|node| nodes.get(node))
            .or_else(|| nodes.values().next());
        let worst = hooks
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|hook| gap(hook.coverage))
            .fold(RESIDUAL, f64::max);
        if self.lost(observer, time_ns) > 0 {
            worst.max(LOSSY)
        } else {
            worst
        }
    }

    /// Events known to be lost by `observer` shortly before `time_ns`.
    fn lost(&self, observer: &str, time_ns: u64) -> u64 {
        let near = |loss: &&Loss| loss.observer == observer && loss.time_ns.abs_diff(time_ns) <= RECENT_NS;
        self.losses.iter().filter(near).map(|loss| loss.count).sum()
    }

    /// Events known to be lost by anybody between two times.
    pub(super) fn lost_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        self.losses
            .iter()
            .filter(|loss| (from_ns..=to_ns).contains(&loss.time_ns))
            .map(|loss| loss.count)
            .sum()
    }

    /// What `observer` cannot see on `entity`'s node, in words; `None` when it sees everything.
    pub(super) fn complaint(&self, observer: &str, entity: &Entity) -> Option<String> {
        let Some(nodes) = self.hooks.get(observer) else {
            return Some(format!("{observer}: not running"));
        };
        let hooks = entity
            .node
            .as_ref()
            .and_then(|node| nodes.get(node))
            .or_else(|| nodes.values().next())?;
        let (name, hook) = hooks.iter().find(|(_, hook)| gap(hook.coverage) > RESIDUAL)?;
        Some(
            format!("{observer}: {name} {}", hook.reason)
                .trim_end()
                .to_owned(),
        )
    }
}

fn gap(coverage: node::Coverage) -> f64 {
    match coverage {
        node::Coverage::Full => RESIDUAL,
        node::Coverage::Degraded => DEGRADED,
        node::Coverage::Missing | node::Coverage::Unknown => 1.0,
    }
}
