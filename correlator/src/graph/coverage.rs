//! Where observers could see, and where they were blind. What nobody looked at is not healthy, it is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bus_schema::Entity;
use bus_schema::episode::Blindness;
use bus_schema::event::node;
use bus_schema::family::is_cluster_scoped;
use serde::{Deserialize, Serialize};

/// Losses count against completeness for this long.
const RECENT_NS: u64 = 60_000_000_000;
/// So many minutes there are in the time around, before and after.
const MINUTES_NEAR: u64 = 2;
/// Hooks are told again every minute; one that was not for this long is not there any more.
const SILENT_NS: u64 = 180_000_000_000;
/// A node that no observer told of for this long is gone, and so is what was lost before.
const GONE_NS: u64 = 3600 * 1_000_000_000;
/// Most observers and nodes of which losses are remembered, and most of one; the oldest is forgotten first.
const MOST_LOSERS: usize = 10_000;
const MOST_LOSSES: usize = 1_000;
/// Where a stage has lost something.
const NO_NODE: &str = "";
/// Even the best observer misses something now and then.
const RESIDUAL: f64 = 0.02;
/// A lower rung sees most, not all.
const DEGRADED: f64 = 0.2;
/// Events were dropped, nobody knows of how many, and any of them could have been the one.
const LOSSY: f64 = 0.3;

/// What the observers said of themselves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Coverage {
    /// By observer, then node, then hook.
    hooks: BTreeMap<String, BTreeMap<String, BTreeMap<String, Hook>>>,
    /// By observer, then node; a stage, which reads everybody's events and does not know whose it lost, has none.
    #[serde(default)]
    lost: BTreeMap<String, BTreeMap<String, Losses>>,
}

/// The time around `time_ns` in which a loss counts.
fn near(time_ns: u64) -> RangeInclusive<u64> {
    time_ns.saturating_sub(RECENT_NS)..=time_ns.saturating_add(RECENT_NS)
}

/// What was lost by when, UNIX ns.
type Losses = BTreeMap<u64, Lost>;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Lost {
    /// Events.
    count: u64,
    /// Events that were sent in the minute before, where that was counted.
    sent: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hook {
    coverage: node::Coverage,
    reason: String,
    /// When it was first and last told, UNIX ns.
    since_ns: u64,
    told_ns: u64,
}

impl Coverage {
    /// Takes one report of loss or capability. Gives the time (UNIX ns) of which an observer saw more or less than was known.
    pub(super) fn take(&mut self, blindness: &Blindness) -> Option<RangeInclusive<u64>> {
        let time_ns = blindness.time_ns;
        let mut changed = None;
        if let Some((loss, count)) = &blindness.loss {
            self.take_loss(&blindness.node, time_ns, loss, *count);
            changed = Some(near(time_ns));
        }
        let capability = blindness.capability.as_ref();
        if capability.is_some_and(|told| self.take_capability(blindness, told)) {
            changed = Some(0..=u64::MAX);
        }
        changed
    }

    fn take_capability(&mut self, blindness: &Blindness, capability: &node::Capability) -> bool {
        let nodes = self.hooks.entry(capability.observer.clone()).or_default();
        let hooks = nodes.entry(blindness.node.clone()).or_default();
        let known = hooks.get(&capability.hook);
        let is_as_known = known.is_some_and(|known| {
            known.coverage == capability.coverage
                && known.reason == capability.reason
                && !known.is_silent(blindness.time_ns)
        });
        let hook = Hook {
            coverage: capability.coverage,
            reason: capability.reason.clone(),
            since_ns: known.map_or(blindness.time_ns, |known| known.since_ns),
            told_ns: blindness.time_ns,
        };
        hooks.insert(capability.hook.clone(), hook);
        !is_as_known
    }

    fn take_loss(&mut self, node: &str, time_ns: u64, loss: &node::Loss, count: u64) {
        let nodes = self.lost.entry(loss.observer.clone()).or_default();
        if nodes.len() >= MOST_LOSERS && !nodes.contains_key(node) {
            nodes.pop_first();
        }
        let losses = nodes.entry(node.to_owned()).or_default();
        let known = losses.entry(time_ns).or_default();
        known.count += count;
        known.sent = known.sent.max(loss.sent);
        if losses.len() > MOST_LOSSES {
            losses.pop_first();
        }
    }

    /// Forgets nodes that are gone, and what was lost long ago.
    pub(super) fn forget(&mut self, now_ns: u64) {
        let oldest_ns = now_ns.saturating_sub(GONE_NS);
        for nodes in self.hooks.values_mut() {
            nodes.retain(|_, hooks| hooks.values().any(|hook| hook.told_ns >= oldest_ns));
        }
        self.hooks.retain(|_, nodes| !nodes.is_empty());
        for nodes in self.lost.values_mut() {
            nodes.retain(|_, losses| {
                *losses = losses.split_off(&oldest_ns);
                !losses.is_empty()
            });
        }
        self.lost.retain(|_, nodes| !nodes.is_empty());
    }

    /// Probability that `observer` would have missed something on `entity` around `time_ns`.
    pub(super) fn blindness(&self, observer: &str, entity: &Entity, time_ns: u64) -> f64 {
        let Some((node, hooks)) = self.looking(observer, entity) else {
            return 1.0;
        };
        let worst = hooks
            .values()
            .map(|hook| hook.gap(time_ns))
            .fold(RESIDUAL, f64::max);
        worst.max(self.lost_share(node, observer, time_ns))
    }

    /// How long `observer` has looked at `entity` by `time_ns`, ns.
    pub(super) fn watched_ns(&self, observer: &str, entity: &Entity, time_ns: u64) -> u64 {
        let hooks = self.looking(observer, entity).into_iter();
        let since = hooks.flat_map(|(_, hooks)| hooks.values().map(|hook| hook.since_ns));
        since.max().map_or(0, |since_ns| time_ns.saturating_sub(since_ns))
    }

    /// Node and hooks of the `observer` that looks at `entity`: the one of its node, or the one of the cluster.
    fn looking(&self, observer: &str, entity: &Entity) -> Option<(&str, &BTreeMap<String, Hook>)> {
        let nodes = self.hooks.get(observer)?;
        let own = entity.node.as_ref().filter(|_| !is_cluster_scoped(observer));
        let found = match own {
            Some(node) => nodes.get_key_value(node),
            None => nodes
                .iter()
                .max_by_key(|(_, hooks)| hooks.values().map(|hook| hook.told_ns).max()),
        };
        found.map(|(node, hooks)| (node.as_str(), hooks))
    }

    /// Which share of the events of `observer` on `node` was lost, when some around `time_ns` were.
    fn lost_share(&self, node: &str, observer: &str, time_ns: u64) -> f64 {
        let near = near(time_ns);
        let own = self.lost.get(observer).and_then(|nodes| nodes.get(node));
        let of_stages = self.lost.values().filter_map(|nodes| nodes.get(NO_NODE));
        let losses = own.into_iter().chain(of_stages);
        let (mut lost, mut most_sent) = (0, Some(0));
        for (_, told) in losses.flat_map(|losses| losses.range(near.clone())) {
            lost += told.count;
            most_sent = most_sent.zip(told.sent).map(|(most, sent)| most.max(sent));
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        match most_sent {
            _ if lost == 0 => 0.0,
            Some(sent) => lost as f64 / (lost + MINUTES_NEAR * sent) as f64,
            None => LOSSY,
        }
    }

    /// Events known to be lost by anybody between two times.
    pub(super) fn lost_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let all = self.lost.values().flat_map(BTreeMap::values);
        let between = all.filter(|_| from_ns <= to_ns);
        between
            .flat_map(|losses| losses.range(from_ns..=to_ns))
            .map(|(_, lost)| lost.count)
            .sum()
    }

    /// Nodes on which an observer is silent or does not see what it is there for, for a metric.
    pub(super) fn blind_nodes(&self, now_ns: u64) -> usize {
        let mut blind = BTreeSet::new();
        for (observer, nodes) in &self.hooks {
            // Of those that stand by for each other, one looks.
            let looks = is_cluster_scoped(observer)
                .then(|| self.looking(observer, &Entity::default()))
                .flatten();
            let is_one = |node: &str| looks.is_none_or(|(looking, _)| looking == node);
            let sees_nothing =
                |hooks: &BTreeMap<String, Hook>| hooks.values().any(|hook| hook.gap(now_ns) >= 1.0);
            let of_observer = nodes
                .iter()
                .filter(|(node, hooks)| is_one(node) && sees_nothing(hooks));
            blind.extend(of_observer.map(|(node, _)| node));
        }
        blind.len()
    }

    /// What `observer` cannot see on `entity`'s node around `time_ns`, in words; `None` when it sees everything.
    pub(super) fn complaint(&self, observer: &str, entity: &Entity, time_ns: u64) -> Option<String> {
        let Some((_, hooks)) = self.looking(observer, entity) else {
            return Some(format!("{observer}: not running"));
        };
        let (name, hook) = hooks.iter().find(|(_, hook)| hook.gap(time_ns) > RESIDUAL)?;
        if hook.is_silent(time_ns) {
            return Some(format!("{observer}: silent"));
        }
        Some(
            format!("{observer}: {name} {}", hook.reason)
                .trim_end()
                .to_owned(),
        )
    }
}

impl Hook {
    /// Probability that it misses something around `time_ns`.
    fn gap(&self, time_ns: u64) -> f64 {
        match self.coverage {
            _ if self.is_silent(time_ns) => 1.0,
            node::Coverage::Full => RESIDUAL,
            node::Coverage::Degraded => DEGRADED,
            node::Coverage::Missing | node::Coverage::Unknown => 1.0,
        }
    }

    fn is_silent(&self, time_ns: u64) -> bool {
        time_ns > self.told_ns + SILENT_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_NS: u64 = 1_700_000_000_000_000_000;

    /// How blind the network observer is on node `n`, after `lost_by` on `node` has lost something of what it sent.
    fn blindness_after(lost_by: &str, node: &str, sent: Option<u64>) -> f64 {
        let mut coverage = Coverage::default();
        let capability = node::Capability {
            observer: "network".to_owned(),
            hook: "connect".to_owned(),
            coverage: node::Coverage::Full,
            ..node::Capability::default()
        };
        coverage.take(&Blindness {
            node: "n".to_owned(),
            time_ns: TIME_NS,
            capability: Some(capability),
            loss: None,
        });
        let loss = node::Loss {
            observer: lost_by.to_owned(),
            reason: "retention".to_owned(),
            sent,
        };
        coverage.take(&Blindness {
            node: node.to_owned(),
            time_ns: TIME_NS,
            loss: Some((loss, 1)),
            capability: None,
        });
        coverage.blindness("network", &Entity::of_node("n"), TIME_NS)
    }

    #[test]
    fn what_a_stage_lost_may_have_been_anybodys() {
        assert!(blindness_after("network", "n", None) >= LOSSY);
        assert!(blindness_after("enricher", "", None) >= LOSSY);
        assert!(
            blindness_after("memory", "n", None) < LOSSY,
            "another observer's loss"
        );
        assert!(
            blindness_after("network", "m", None) < LOSSY,
            "another node's loss"
        );
    }

    #[test]
    fn a_loss_costs_as_much_as_its_share_of_what_there_was() {
        let of_eleven = blindness_after("network", "n", Some(5));
        assert!((of_eleven - 1.0 / 11.0).abs() < 1e-9, "{of_eleven}");
        let of_a_thousand = blindness_after("network", "n", Some(999));
        assert!((of_a_thousand - RESIDUAL).abs() < 1e-9, "{of_a_thousand}");
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten_and_one_that_is_silent_is_not() {
        let mut coverage = Coverage::default();
        let told = |node: &str| Blindness {
            node: node.to_owned(),
            time_ns: TIME_NS,
            capability: Some(node::Capability {
                observer: "network".to_owned(),
                ..node::Capability::default()
            }),
            loss: Some((node::Loss::default(), 1)),
        };
        assert!(coverage.take(&told("n")).is_some(), "it is news");
        let again = Blindness {
            loss: None,
            ..told("n")
        };
        assert!(coverage.take(&again).is_none(), "it is as known");
        coverage.forget(TIME_NS + GONE_NS);
        assert!(coverage.looking("network", &Entity::of_node("n")).is_some());
        assert_eq!(coverage.lost_between(0, u64::MAX), 1);
        coverage.forget(TIME_NS + GONE_NS + 1);
        assert!(coverage.looking("network", &Entity::of_node("n")).is_none());
        assert_eq!(coverage.lost_between(0, u64::MAX), 0);
    }

    #[test]
    fn a_node_is_blind_while_an_observer_of_it_is_silent_or_sees_nothing() {
        let mut coverage = Coverage::default();
        let mut tell = |observer: &str, node: &str, coverage_of_hook, seconds: u64| {
            coverage.take(&Blindness {
                node: node.to_owned(),
                time_ns: TIME_NS + seconds * 1_000_000_000,
                capability: Some(node::Capability {
                    observer: observer.to_owned(),
                    coverage: coverage_of_hook,
                    ..node::Capability::default()
                }),
                loss: None,
            });
            coverage.blind_nodes(TIME_NS + seconds * 1_000_000_000)
        };
        assert_eq!(tell("network", "n", node::Coverage::Full, 0), 0);
        assert_eq!(
            tell("network", "m", node::Coverage::Degraded, 0),
            0,
            "it sees most"
        );
        assert_eq!(tell("memory", "n", node::Coverage::Missing, 1), 1);
        assert_eq!(
            tell("network", "n", node::Coverage::Missing, 1),
            1,
            "the same node"
        );
        assert_eq!(tell("deployments", "m", node::Coverage::Full, 2), 1);
        assert_eq!(
            tell("deployments", "n", node::Coverage::Full, 190),
            2,
            "m is silent for network"
        );
        assert_eq!(
            tell("network", "m", node::Coverage::Full, 190),
            1,
            "deployments looks from n"
        );
    }

    #[test]
    fn an_observer_has_watched_since_it_first_told_what_it_sees() {
        let mut coverage = Coverage::default();
        let watched = |coverage: &Coverage| {
            coverage.watched_ns("network", &Entity::of_node("n"), TIME_NS) / 1_000_000_000
        };
        assert_eq!(watched(&coverage), 0, "it was never heard of");
        for seconds in [90, 30] {
            coverage.take(&Blindness {
                node: "n".to_owned(),
                time_ns: TIME_NS - seconds * 1_000_000_000,
                capability: Some(node::Capability {
                    observer: "network".to_owned(),
                    ..node::Capability::default()
                }),
                loss: None,
            });
        }
        assert_eq!(watched(&coverage), 90);
    }
}
