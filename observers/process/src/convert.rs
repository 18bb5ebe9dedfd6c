//! From kernel records to events; the only file that sees both.

use bus_schema::Severity;
use bus_schema::event::Body;
use bus_schema::event::container::OomKill;
use bus_schema::event::process::{ExecutableChanged, ProcessExited, SignalSent};
use ebpf::raw;
use observer_base::task::{process, subject};
use observer_base::{Context, Draft};

use crate::signals::services::{Change, End, ProcessId};

/// Number and start time of a task, in whole clock ticks: `/proc` knows no more.
pub fn id(task: &raw::Task) -> ProcessId {
    const NS_PER_TICK: u64 = 10_000_000;
    ProcessId {
        pid: task.tgid,
        start_ns: task.start_ns / NS_PER_TICK * NS_PER_TICK,
    }
}

/// What the kernel does to a process for its own faults; and SIGABRT, which is a fault that the program has found itself.
const FAULTS: [u32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// Whether it ended by a fault of its own.
pub fn faulted(record: &raw::Exit) -> bool {
    record.signal().is_some_and(|signal| FAULTS.contains(&signal))
}

/// Whether it ended otherwise than by itself with 0, or as who is asked to stop does.
pub fn failed(record: &raw::Exit) -> bool {
    match record.signal() {
        Some(signal) => ![2, 15].contains(&signal),
        None => record.code().is_none_or(|code| ![0, 130, 143].contains(&code)),
    }
}

/// The end of a process, which somebody has `asked` for or not.
pub fn exited(record: &raw::Exit, end: &End, asked: bool, context: &Context) -> Draft {
    let number = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok()).unwrap_or(0);
    let exit = ProcessExited {
        code: number(record.code()),
        signal: number(record.signal()),
        core_dumped: record.dumped_core(),
        main: end.is_main,
        asked,
        never_served: end.never_served,
    };
    let severity = if exit.code == 0 && exit.signal == 0 {
        Severity::Info
    } else {
        Severity::Warning
    };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(
        time_ns,
        severity,
        subject(&record.task, context),
        Body::ProcessExited(exit),
    )
}

/// A signal from one process to another.
pub fn signal(record: &raw::Signal, context: &Context) -> Draft {
    let body = SignalSent {
        signal: i32::try_from(record.signal).unwrap_or(0),
        by_kernel: record.from_kernel == 1,
    };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(
        time_ns,
        Severity::Warning,
        subject(&record.sender, context),
        Body::SignalSent(body),
    )
    .towards(subject(&record.target, context))
}

/// A service that runs another executable than before. `task` is its main process.
pub fn changed(change: &Change, task: &raw::Task, context: &Context) -> Draft {
    let ExecutableChanged { old, new } = change.change.clone();
    let mut entity = subject(task, context);
    if let Some(process) = &mut entity.process {
        process.exe.clone_from(&new.path);
    }
    let body = Body::ExecutableChanged(ExecutableChanged { old, new });
    Draft::new(
        context.clock.unix_ns(change.time_ns),
        Severity::Notice,
        entity,
        body,
    )
}

/// A process that the kernel killed for memory.
pub fn oom_kill(record: &raw::OomKill, context: &Context) -> Draft {
    let limited = context
        .identity
        .cgroup(record.limit_cgroup_id, context.clock.boot_ns());
    let body = OomKill {
        trigger: process(&record.trigger, context),
        limit_bytes: (record.limit_bytes > 0).then_some(record.limit_bytes),
        usage_bytes: record.usage_bytes,
        // File pages may be charged to whoever read them first.
        rss_bytes: record.anon_bytes + record.shmem_bytes,
        limited_cgroup: limited.cgroup.map(|cgroup| cgroup.path).unwrap_or_default(),
        limit_unknown: record.limit_unknown == 1,
    };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(
        time_ns,
        Severity::Error,
        subject(&record.victim, context),
        Body::OomKill(body),
    )
}
