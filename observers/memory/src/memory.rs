//! The memory observer: growth of control groups towards their limits, tasks that wait for memory, and pressure of the node.

pub mod accounting;
pub mod growth;
pub mod pressure;
pub mod throttle;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bus_schema::event::Body;
use bus_schema::event::memory::{MemoryGrowth, MemoryThrottled};
use bus_schema::{Entity, Severity};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::identity::Hierarchy;
use observer_base::{Context, Draft, Observer};
use tokio::time::MissedTickBehavior;

use accounting::{Usage, Version};
use growth::{Growth, Trend};
use throttle::{Throttle, Throttled};

const SECOND_NS: u64 = 1_000_000_000;
/// Groups whose memory moves are looked at this often, the others once a second.
const FAST: Duration = Duration::from_millis(250);
/// A group that moved is looked at fast for this long.
const FAST_FOR_NS: u64 = 10 * SECOND_NS;
/// Pressure of the node is told this often.
const PRESSURE_NS: u64 = 2 * SECOND_NS;
const OBSERVER: &str = "memory";

/// The observer.
#[derive(Debug)]
pub struct MemoryObserver;

/// There is nothing to read memory from.
#[derive(Debug, thiserror::Error)]
#[error("no cgroup hierarchy with memory accounting is mounted; mount cgroup2 at /sys/fs/cgroup")]
struct NoHierarchy;

impl Observer for MemoryObserver {
    fn delay(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let hierarchy = context.identity.hierarchy().cloned().ok_or(NoHierarchy)?;
            context.emitter.works(OBSERVER, "memory_usage", "cgroupfs");
            let mut sampler = Sampler::new(context.clone(), hierarchy);
            let mut timer = tokio::time::interval(FAST);
            timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = timer.tick() => sampler.sample(),
                    () = context.stop.cancelled() => return Ok(()),
                }
            }
        })
    }
}

/// One control group that is watched.
struct Group {
    entity: Entity,
    path: String,
    trend: Trend,
    throttle: Throttle,
    fast_until_ns: u64,
    sampled_ns: u64,
    told_ns: u64,
}

struct Sampler {
    context: Context,
    hierarchy: Hierarchy,
    version: Version,
    groups: HashMap<u64, Group>,
    listed_ns: u64,
    pressure_ns: u64,
}

impl Sampler {
    fn new(context: Context, hierarchy: Hierarchy) -> Self {
        let version = Version::of_mount(&hierarchy.mount);
        Self {
            context,
            hierarchy,
            version,
            groups: HashMap::new(),
            listed_ns: 0,
            pressure_ns: 0,
        }
    }

    fn sample(&mut self) {
        // By a clock that nobody sets.
        let now_ns = self.context.clock.boot_ns();
        if now_ns >= self.listed_ns + SECOND_NS {
            self.listed_ns = now_ns;
            self.list(now_ns);
        }
        let (mount, version) = (self.hierarchy.mount.clone(), self.version);
        let mut drafts = Vec::new();
        self.groups.retain(|_, group| {
            if now_ns < group.sampled_ns + SECOND_NS && now_ns >= group.fast_until_ns {
                return true;
            }
            let usage = version.read(&mount, &group.path);
            if let Ok(usage) = &usage {
                drafts.extend(group.take(usage, now_ns));
                drafts.extend(group.look_for_waiting(&mount, now_ns));
            }
            // What cannot be read at the moment may be read at the next.
            !usage.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        });
        for draft in drafts {
            let subject = self.context.identity.by_oldest(draft.subject.clone(), now_ns);
            let time_ns = self.context.clock.unix_ns(draft.time_ns);
            self.context.emitter.emit(Draft {
                subject,
                time_ns,
                ..draft
            });
        }
        if now_ns >= self.pressure_ns + PRESSURE_NS {
            self.pressure_ns = now_ns;
            self.tell_pressure();
        }
    }

    /// Memory is charged to the leaves; the sums of their ancestors would tell everything twice.
    fn list(&mut self, now_ns: u64) {
        let all = self.context.identity.all(now_ns);
        let paths: Vec<&str> = all
            .iter()
            .filter_map(|entity| Some(entity.cgroup.as_ref()?.path.as_str()))
            .collect();
        let parents: std::collections::HashSet<&str> = paths
            .iter()
            .filter_map(|path| Some(path.rsplit_once('/')?.0))
            .collect();
        for entity in &all {
            let Some(cgroup) = entity.cgroup.as_ref().filter(|cgroup| cgroup.path.len() > 1) else {
                continue;
            };
            if parents.contains(cgroup.path.as_str()) {
                self.groups.remove(&cgroup.id);
                continue;
            }
            self.groups
                .entry(cgroup.id)
                .or_insert_with(|| Group::new(entity.clone(), cgroup.path.clone()));
        }
    }

    fn tell_pressure(&self) {
        let pressure = pressure::read(Path::new("/proc"));
        let hook = "node_pressure";
        match pressure.memory_some_avg10 {
            Some(_) => self.context.emitter.works(OBSERVER, hook, "psi"),
            None => self.context.emitter.is_blind(
                OBSERVER,
                hook,
                "the kernel offers no pressure stall information (psi=1)",
            ),
        }
        let node = Entity::of_node(&self.context.node);
        self.context.emitter.emit(Draft::new(
            self.context.clock.now_ns(),
            Severity::Info,
            node,
            Body::NodePressure(pressure),
        ));
    }
}

impl Group {
    fn new(entity: Entity, path: String) -> Self {
        Self {
            entity,
            path,
            trend: Trend::default(),
            throttle: Throttle::default(),
            fast_until_ns: 0,
            sampled_ns: 0,
            told_ns: 0,
        }
    }

    /// Adds a sample taken at `now_ns` since boot; growth is told once a second while it lasts, at a time since boot as well.
    fn take(&mut self, usage: &Usage, now_ns: u64) -> Option<Draft> {
        self.sampled_ns = now_ns;
        let limit_bytes = usage.limit.as_ref().map(|limit| limit.bytes);
        self.trend.add(now_ns, usage.kept_bytes);
        if self.trend.is_moving(limit_bytes) {
            self.fast_until_ns = now_ns + FAST_FOR_NS;
        }
        if now_ns < self.told_ns + SECOND_NS {
            return None;
        }
        let growth = self.trend.growth(limit_bytes)?;
        self.told_ns = now_ns;
        Some(Draft::new(
            now_ns,
            Severity::Warning,
            self.entity.clone(),
            Body::MemoryGrowth(body(growth, usage)),
        ))
    }

    /// What its tasks wait for; version 1 of control groups makes nobody wait.
    fn look_for_waiting(&mut self, mount: &Path, now_ns: u64) -> Option<Draft> {
        let waiting = self.throttle.look(mount, &self.path, now_ns)?;
        Some(Draft::new(
            now_ns,
            Severity::Warning,
            self.entity.clone(),
            Body::MemoryThrottled(throttled(waiting)),
        ))
    }
}

fn throttled(throttled: Throttled) -> MemoryThrottled {
    MemoryThrottled {
        high_bytes: throttled.high.bytes,
        throttled_cgroup: throttled.high.group,
        stalled_percent: 100.0 * throttled.stalled,
    }
}

fn body(growth: Growth, usage: &Usage) -> MemoryGrowth {
    MemoryGrowth {
        usage_bytes: usage.kept_bytes,
        start_bytes: growth.start_bytes,
        rate_bytes_per_second: growth.rate_bytes_per_second,
        limit_bytes: usage.limit.as_ref().map(|limit| limit.bytes),
        limited_cgroup: usage
            .limit
            .as_ref()
            .map(|limit| limit.group.clone())
            .unwrap_or_default(),
        time_to_limit_ns: growth.time_to_limit_ns,
        fit: growth.fit,
    }
}
