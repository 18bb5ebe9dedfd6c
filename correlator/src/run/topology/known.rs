//! The relations that were told, so that each change becomes an edge once, and what holds is said again from time to time.
//!
//! Pure: a function of the messages.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::entity::Identity;
use bus_schema::episode::Edge;
use bus_schema::names::{TOPOLOGY_REMEMBERED, TOPOLOGY_REPEATED, TOPOLOGY_TIME_INTERVAL, slot};
use bus_schema::topology::{Related, Relations};
use serde::{Deserialize, Serialize};

/// Most relations that are remembered.
const MOST: usize = 500_000;
/// What was not said again because time leapt is said in its next turn.
const MOST_TURNS: u64 = 2;

/// What is known.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// By relation and near end, as told last.
    relations: BTreeMap<String, BTreeMap<Identity, Vec<Related>>>,
    count: usize,
    /// When the time was told last, UNIX ns.
    now_ns: u64,
    #[serde(skip)]
    evicted: u64,
}

impl Known {
    /// Takes a message; gives what it says that was not known.
    pub(super) fn take(&mut self, told: &Relations) -> Vec<Edge> {
        let known = self.relations.get(&told.relation);
        let known = known.and_then(|entries| entries.get(&told.from));
        let known = known.map(Vec::as_slice).unwrap_or_default();
        let mut edges: Vec<Edge> = told
            .targets
            .iter()
            .filter(|target| !known.contains(target))
            .map(|target| edge(&told.relation, &told.from, target, told.told_ns))
            .collect();
        // Its end was told by a message that was replaced before it was read.
        let is_there = |held: &Related| {
            let is_same = |target: &Related| target.to == held.to && target.since_ns == held.since_ns;
            told.left_out > 0 || told.targets.iter().any(is_same)
        };
        let vanished = known
            .iter()
            .filter(|held| held.until_ns.is_none() && !is_there(held));
        edges.extend(vanished.map(|held| {
            let ended = Related {
                until_ns: Some(told.told_ns),
                ..held.clone()
            };
            edge(&told.relation, &told.from, &ended, told.told_ns)
        }));
        self.keep(told);
        edges
    }

    fn keep(&mut self, told: &Relations) {
        let entries = self.relations.entry(told.relation.clone()).or_default();
        let before = entries.remove(&told.from).map_or(0, |targets| targets.len());
        self.count -= before;
        let room = MOST.saturating_sub(self.count);
        let kept: Vec<_> = told.targets.iter().take(room).cloned().collect();
        self.evicted += (told.targets.len() - kept.len()) as u64;
        self.count += kept.len();
        if !kept.is_empty() {
            entries.insert(told.from.clone(), kept);
        }
    }

    /// Time has come this far; gives the relations whose turn it is to be said again, as they hold.
    pub(super) fn pass(&mut self, now_ns: u64) -> Vec<Edge> {
        let interval_ns = nanoseconds(TOPOLOGY_TIME_INTERVAL).max(1);
        let turns = nanoseconds(TOPOLOGY_REPEATED) / interval_ns;
        let before_ns = self.now_ns;
        self.now_ns = before_ns.max(now_ns);
        let (before, now) = (before_ns / interval_ns, self.now_ns / interval_ns);
        if before_ns == 0 || before == now {
            return Vec::new();
        }
        let first = (before + 1).max((now + 1).saturating_sub(MOST_TURNS));
        let turns: Vec<u64> = (first..=now).map(|turn| turn % turns.max(1)).collect();
        self.forget();
        let mut edges = Vec::new();
        for (relation, entries) in &self.relations {
            for (from, targets) in entries {
                if turns.contains(&turn_of(from)) {
                    let holding = targets.iter().filter(|target| target.until_ns.is_none());
                    edges.extend(holding.map(|target| edge(relation, from, target, self.now_ns)));
                }
            }
        }
        edges
    }

    /// Forgets what ended so long ago that nobody tells it any more.
    fn forget(&mut self) {
        let (now_ns, remembered_ns) = (self.now_ns, nanoseconds(TOPOLOGY_REMEMBERED));
        let is_remembered = |target: &Related| {
            target
                .until_ns
                .is_none_or(|until_ns| now_ns < until_ns.saturating_add(remembered_ns))
        };
        for entries in self.relations.values_mut() {
            entries.retain(|_, targets| {
                targets.retain(is_remembered);
                !targets.is_empty()
            });
        }
        let all = self.relations.values().flat_map(BTreeMap::values);
        self.count = all.map(Vec::len).sum();
    }

    /// Relations that are remembered.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// How many found no room since the last time.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

/// Among the turns of a round, the one of an object.
fn turn_of(from: &Identity) -> u64 {
    let interval_ns = nanoseconds(TOPOLOGY_TIME_INTERVAL).max(1);
    let turns = nanoseconds(TOPOLOGY_REPEATED) / interval_ns;
    u64::from(slot(&from.key())) % turns.max(1)
}

fn edge(relation: &str, from: &Identity, target: &Related, now_ns: u64) -> Edge {
    Edge {
        relation: relation.to_owned(),
        from: Entity::of_identity(from.clone()),
        to: Entity::of_identity(target.to.clone()),
        first_ns: target.since_ns,
        last_ns: target.until_ns.unwrap_or(now_ns),
        until_ns: target.until_ns,
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
