//! The container-runtime observer: OOM kills, and control groups as they are made.

use ebpf::Loaded;
use ebpf::raw::{self, Record};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler};
use observer_base::{Context, Observer};

use crate::convert;

/// The observer.
#[derive(Debug)]
pub struct Containers;

impl Observer for Containers {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Container, &context)?;
            let mut state = State {
                hierarchy: memory_hierarchy(&context),
                context: context.clone(),
            };
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    /// Number of the hierarchy whose groups are identities.
    hierarchy: u32,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::OomKill(kill) = record {
            self.context.emitter.emit(convert::oom_kill(kill, &self.context));
        } else if let Record::Cgroup(group) = record
            && group.hierarchy == self.hierarchy
            && group.path_unknown == 0
        {
            let path = raw::text(&group.path);
            self.context
                .identity
                .created(group.cgroup_id, &path, self.context.clock.boot_ns());
        }
    }

    fn second(&mut self, _loaded: &mut Loaded, _running: Option<u32>, _now_ns: u64) {}
}

/// 0 for the unified hierarchy, else the number that `/proc/cgroups` gives the memory controller.
fn memory_hierarchy(context: &Context) -> u32 {
    if context
        .identity
        .hierarchy()
        .is_none_or(|hierarchy| hierarchy.is_unified)
    {
        return 0;
    }
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let row = table.lines().find_map(|line| line.strip_prefix("memory\t"));
    row.and_then(|row| row.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
