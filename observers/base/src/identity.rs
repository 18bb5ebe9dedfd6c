//! Who is behind a control group: its path, and from it container, pod and workload. The dead are remembered for a while.

mod cgroups;
mod escapes;
mod nameless;
mod paths;
mod runtimes;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bus_schema::Entity;
use bus_schema::entity::{CONTAINER_KIND, Cgroup, PROGRAM_KIND, Process};

pub use cgroups::{Hierarchy, hierarchy};
use nameless::{Nameless, Oldest};
use runtimes::Runtimes;

/// Control groups that are gone are remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;
/// The hierarchy is walked for an unknown id this often at most.
const WALK_INTERVAL_NS: u64 = 200_000_000;
/// Most control groups remembered.
const MOST_CGROUPS: usize = 50_000;
/// Where the files of the host are, for an observer that is in no container.
pub const HOST_ROOT: &str = "/";
/// What a runtime calls its own process until it becomes the container's first.
const STARTS_CONTAINER: &str = "runc:[";

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u64, (Entity, u64)>,
    nameless: Nameless,
    walked_ns: u64,
}

/// The control groups of the node. Every `now_ns` is time since boot: nobody sets it.
#[derive(Debug)]
pub struct Identity {
    hierarchy: Option<Hierarchy>,
    runtimes: Runtimes,
    known: Mutex<Known>,
    misses: AtomicU64,
}

impl Identity {
    /// Learns all control groups there are; the host's files are below `root`.
    pub fn new(root: &Path) -> Self {
        let identity = Self {
            hierarchy: hierarchy(),
            runtimes: Runtimes::new(root.to_owned()),
            known: Mutex::default(),
            misses: AtomicU64::new(0),
        };
        identity.walk(boot_ns());
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
        self.contained(self.group(id, now_ns), now_ns)
    }

    fn group(&self, id: u64, now_ns: u64) -> Entity {
        if let Some(entity) = self.lookup(id, now_ns) {
            return entity;
        }
        let is_due = self.known().walked_ns + WALK_INTERVAL_NS <= now_ns;
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
            return self.contained(entity, now_ns);
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
        let group = called(self.cgroup_of(process.pid, cgroup_id, now_ns), &process.comm);
        Entity {
            process: Some(process),
            ..group
        }
    }

    /// Those in a control group that run `program`; the program tells them from others only where the group has no lasting
    /// name.
    pub fn program(&self, program: &str, cgroup_id: u64, now_ns: u64) -> Entity {
        called(self.cgroup(cgroup_id, now_ns), program)
    }

    /// Whether a control group has no lasting name, so that its programs are workloads each.
    pub fn is_nameless(&self, cgroup_id: u64, now_ns: u64) -> bool {
        is_nameless(&self.cgroup(cgroup_id, now_ns))
    }

    /// A control group as [`Identity::cgroup`] and [`Identity::all`] give it, called by the program of its oldest process where
    /// it has no lasting name.
    pub fn by_oldest(&self, group: Entity, now_ns: u64) -> Entity {
        let group = self.contained(group, now_ns);
        if !is_nameless(&group) {
            return group;
        }
        let oldest = self.hierarchy.as_ref().zip(group.cgroup.as_ref());
        match oldest.and_then(|(hierarchy, group)| hierarchy.oldest(&group.path)) {
            Some(oldest) => called(group, &oldest.comm),
            None => group,
        }
    }

    /// A control group was made: known before its first process runs.
    pub fn created(&self, id: u64, path: &str, now_ns: u64) {
        self.remember(id, self.of_path(id, path, now_ns), now_ns);
    }

    fn of_path(&self, id: u64, path: &str, now_ns: u64) -> Entity {
        paths::of_path(id, path, |container| self.runtimes.name(container, path, now_ns))
    }

    /// A group in a container whose name nobody tells, called by what is known of the container.
    fn contained(&self, group: Entity, now_ns: u64) -> Entity {
        let Some(container) = group.container.as_ref().filter(|_| is_nameless(&group)) else {
            return group;
        };
        let is_due = self.known().nameless.is_due(&container.id, now_ns);
        if is_due {
            let running = self.running_nameless();
            self.known().nameless.look(running, now_ns);
        }
        let name = self.known().nameless.name(&container.id).map(ToOwned::to_owned);
        let workload = name.map(|name| paths::on_host(CONTAINER_KIND, &name));
        Entity { workload, ..group }
    }

    /// What runs in every container whose name nobody tells.
    fn running_nameless(&self) -> Vec<(String, Oldest)> {
        let mut roots = HashMap::new();
        for (group, _) in self
            .known()
            .by_id
            .values()
            .filter(|(group, _)| is_nameless(group))
        {
            let root = group
                .cgroup
                .as_ref()
                .and_then(|group| paths::container_root(&group.path));
            if let (Some(container), Some(root)) = (&group.container, root) {
                roots.insert(container.id.clone(), root.to_owned());
            }
        }
        let running = |(id, root): (String, String)| {
            let oldest = self.hierarchy.as_ref()?.oldest_below(&root)?;
            let started_ns = oldest.starttime * (1_000_000_000 / procfs::ticks_per_second().max(1));
            let oldest = Oldest {
                started: oldest.starttime,
                age_ns: boot_ns().saturating_sub(started_ns),
                program: oldest.comm,
            };
            (!oldest.program.starts_with(STARTS_CONTAINER)).then_some((id, oldest))
        };
        roots.into_iter().filter_map(running).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every control group that is there now, with its path.
    pub fn all(&self, now_ns: u64) -> Vec<Entity> {
        self.walk(now_ns);
        let known = self.known();
        known
            .by_id
            .values()
            .filter(|(_, seen_ns)| *seen_ns == now_ns)
            .map(|(entity, _)| entity.clone())
            .collect()
    }

    fn lookup(&self, id: u64, now_ns: u64) -> Option<Entity> {
        let mut known = self.known();
        let (entity, seen_ns) = known.by_id.get_mut(&id)?;
        *seen_ns = now_ns.max(*seen_ns);
        Some(entity.clone())
    }

    fn remember(&self, id: u64, entity: Entity, now_ns: u64) {
        let mut known = self.known();
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
        self.known().walked_ns = now_ns;
        let groups: Vec<(u64, PathBuf)> = self.hierarchy.as_ref().map(Hierarchy::groups).unwrap_or_default();
        for (id, path) in groups {
            self.remember(id, self.of_path(id, &path.to_string_lossy(), now_ns), now_ns);
        }
    }
}

/// Whether nothing lasting is known of a group but where it is.
fn is_nameless(group: &Entity) -> bool {
    let has_path = group
        .cgroup
        .as_ref()
        .is_some_and(|cgroup| !cgroup.path.is_empty());
    has_path && group.pod.is_none() && group.workload.is_none()
}

/// Programs of a container are not those of the host.
fn called(group: Entity, program: &str) -> Entity {
    if program.is_empty() || !is_nameless(&group) {
        return group;
    }
    let kind = if group.container.is_some() {
        CONTAINER_KIND
    } else {
        PROGRAM_KIND
    };
    Entity {
        workload: Some(paths::on_host(kind, program)),
        ..group
    }
}

/// Since the node was started.
fn boot_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl Default for Identity {
    fn default() -> Self {
        Self::new(Path::new(HOST_ROOT))
    }
}

/// The control group of a living process, by its path in the memory hierarchy.
pub fn cgroup_id_of(pid: u32) -> Option<u64> {
    static HIERARCHY: LazyLock<Option<Hierarchy>> = LazyLock::new(hierarchy);
    HIERARCHY.as_ref()?.group_of(pid).map(|(id, _)| id)
}

#[cfg(test)]
mod tests;
