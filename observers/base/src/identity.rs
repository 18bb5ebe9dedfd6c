//! Who is behind a control group: its path, and from it container, pod and workload. The dead are remembered for a while.

mod cgroups;
mod paths;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bus_schema::Entity;
use bus_schema::entity::{Cgroup, Process};

pub use cgroups::{Hierarchy, hierarchy};
pub use paths::of_path;

/// Control groups that are gone are remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;
/// The hierarchy is walked for an unknown id this often at most.
const WALK_INTERVAL_NS: u64 = 200_000_000;
/// Most control groups remembered.
const MOST_CGROUPS: usize = 50_000;

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u64, (Entity, u64)>,
    walked_ns: u64,
}

/// The control groups of the node.
#[derive(Debug)]
pub struct Identity {
    hierarchy: Option<Hierarchy>,
    known: Mutex<Known>,
    misses: AtomicU64,
}

impl Identity {
    /// Learns all control groups there are.
    pub fn new() -> Self {
        let identity = Self {
            hierarchy: hierarchy(),
            known: Mutex::default(),
            misses: AtomicU64::new(0),
        };
        identity.walk(bus_stage::clock::now_ns());
        identity
    }

    /// Where control groups are mounted, and which version.
    pub fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    /// Ids that nobody could name so far.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Who runs in the control group `id`. An unknown id is looked for, but not again and again.
    pub fn cgroup(&self, id: u64, now_ns: u64) -> Entity {
        if let Some(entity) = self.lookup(id, now_ns) {
            return entity;
        }
        let is_due = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .walked_ns
            + WALK_INTERVAL_NS
            <= now_ns;
        if is_due {
            self.walk(now_ns);
        }
        self.lookup(id, now_ns).unwrap_or_else(|| {
            self.misses.fetch_add(1, Ordering::Relaxed);
            Entity {
                cgroup: Some(Cgroup {
                    id,
                    path: String::new(),
                }),
                ..Entity::default()
            }
        })
    }

    /// The same for the control group of the process `pid`, which is asked when the id is unknown: a group may be younger
    /// than the last walk.
    pub fn cgroup_of(&self, pid: u32, id: u64, now_ns: u64) -> Entity {
        if let Some(entity) = self.lookup(id, now_ns) {
            return entity;
        }
        let group = self
            .hierarchy
            .as_ref()
            .and_then(|hierarchy| hierarchy.group_of(pid));
        if let Some((_, path)) = group.filter(|(found, _)| *found == id) {
            self.created(id, &path, now_ns);
        }
        self.cgroup(id, now_ns)
    }

    /// A process in a control group.
    pub fn process(&self, process: Process, cgroup_id: u64, now_ns: u64) -> Entity {
        let group = self.cgroup_of(process.pid, cgroup_id, now_ns);
        Entity {
            process: Some(process),
            ..group
        }
    }

    /// A control group was made: known before its first process runs.
    pub fn created(&self, id: u64, path: &str, now_ns: u64) {
        self.remember(id, of_path(id, path), now_ns);
    }

    /// Every control group that is there now, with its path.
    pub fn all(&self, now_ns: u64) -> Vec<Entity> {
        self.walk(now_ns);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .by_id
            .values()
            .filter(|(_, seen_ns)| *seen_ns == now_ns)
            .map(|(entity, _)| entity.clone())
            .collect()
    }

    fn lookup(&self, id: u64, now_ns: u64) -> Option<Entity> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (entity, seen_ns) = known.by_id.get_mut(&id)?;
        *seen_ns = now_ns.max(*seen_ns);
        Some(entity.clone())
    }

    fn remember(&self, id: u64, entity: Entity, now_ns: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_id.len() >= MOST_CGROUPS {
            known
                .by_id
                .retain(|_, (_, seen_ns)| now_ns < *seen_ns + REMEMBER_NS);
        }
        if known.by_id.len() < MOST_CGROUPS {
            known.by_id.insert(id, (entity, now_ns));
        }
    }

    fn walk(&self, now_ns: u64) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .walked_ns = now_ns;
        let groups: Vec<(u64, PathBuf)> = self.hierarchy.as_ref().map(Hierarchy::groups).unwrap_or_default();
        for (id, path) in groups {
            self.remember(id, of_path(id, &path.to_string_lossy()), now_ns);
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

/// The control group of a living process, by its path in the memory hierarchy.
pub fn cgroup_id_of(pid: u32) -> Option<u64> {
    hierarchy()?.group_of(pid).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What knows nothing of a hierarchy, and has just walked it.
    fn blank() -> Identity {
        Identity {
            hierarchy: hierarchy(),
            known: Mutex::new(Known {
                by_id: HashMap::new(),
                walked_ns: u64::MAX / 2,
            }),
            misses: AtomicU64::new(0),
        }
    }

    #[test]
    fn a_group_that_is_younger_than_the_last_walk_is_known_from_its_process() {
        let identity = blank();
        let id = cgroup_id_of(std::process::id()).unwrap();
        let unknown = identity.cgroup(id, 1).cgroup.unwrap();
        assert_eq!(
            (unknown.path.as_str(), identity.misses()),
            ("", 1),
            "not by its id"
        );
        let other = identity.cgroup_of(std::process::id(), id + 1, 1).cgroup.unwrap();
        assert_eq!(other.path, "", "the process has moved");
        let known = identity.cgroup_of(std::process::id(), id, 1).cgroup.unwrap();
        assert!(known.path.starts_with('/'), "{known:?}");
        assert_eq!(identity.cgroup(id, 1).cgroup, Some(known), "remembered");
    }
}
