//! Processes as the kernel's records name them.

use bus_schema::Entity;
use bus_schema::entity::Process;
use ebpf::raw;

use crate::family::Context;

/// A process as the kernel knew it. The start time becomes UNIX time; an unknown one stays 0.
pub fn process(task: &raw::Task, context: &Context) -> Process {
    let start_ns = if task.start_ns == 0 {
        0
    } else {
        context.clock.unix_ns(task.start_ns)
    };
    Process {
        pid: task.tgid,
        start_ns,
        comm: raw::text(&task.comm).into_owned(),
        exe: String::new(),
    }
}

/// A process with its control group and what follows from it.
pub fn subject(task: &raw::Task, context: &Context) -> Entity {
    context
        .identity
        .process(process(task, context), task.cgroup_id, context.clock.boot_ns())
}
