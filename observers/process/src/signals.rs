//! The process-signals observer: changed executables, who signalled whom, and how services end.

pub mod executable;
pub mod services;

use std::collections::HashMap;
use std::path::Path;

use ebpf::Loaded;
use ebpf::raw::{self, Record};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::identity::cgroup_id_of;
use observer_base::kernel::{self, Handler};
use observer_base::{Context, Observer};

use crate::convert;
use services::{Change, Origin, ProcessId, Services};

const PROC: &str = "/proc";
/// Whether processes still live is looked at this often.
const LOOK_SECONDS: u64 = 10;
/// The kernel counts start times in `/proc` in these, on every architecture.
const NS_PER_TICK: u64 = 10_000_000;

/// The observer.
#[derive(Debug)]
pub struct Signals;

impl Observer for Signals {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Process, &context)?;
            let mut state = State {
                context: context.clone(),
                services: Services::default(),
                tasks: HashMap::new(),
                now_ns: 0,
                seconds: 0,
            };
            state.find_running();
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    services: Services,
    /// Main processes and those that stand by, for the event about a change.
    tasks: HashMap<ProcessId, raw::Task>,
    /// Newest kernel time seen, ns since boot.
    now_ns: u64,
    seconds: u64,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        match record {
            Record::Exec(exec) => self.execd(exec),
            Record::Exit(exit) => self.exited(exit),
            Record::Signal(signal) => self.signalled(signal),
            Record::ConnectFailed(_)
            | Record::Listen(_)
            | Record::HttpError(_)
            | Record::OomKill(_)
            | Record::Cgroup(_) => {}
        }
    }

    fn second(&mut self, _loaded: &mut Loaded, _running: Option<u32>, _now_ns: u64) {
        self.seconds += 1;
        if self.seconds.is_multiple_of(LOOK_SECONDS) {
            for gone in self.services.forget_gone(lives, self.now_ns) {
                self.tasks.remove(&gone);
            }
        }
    }

    fn tick(&mut self) {
        self.now_ns = self.now_ns.max(self.context.clock.boot_ns());
        for change in self.services.pass_time(self.now_ns) {
            self.tell(&change);
        }
    }
}

impl State {
    /// The control group's path names the service. What runs in the root group belongs to none.
    fn service(&self, task: &raw::Task) -> Option<String> {
        let entity = self
            .context
            .identity
            .cgroup_of(task.tgid, task.cgroup_id, self.context.clock.now_ns());
        entity
            .cgroup
            .map(|cgroup| cgroup.path)
            .filter(|path| path.len() > 1)
    }

    fn execd(&mut self, exec: &raw::Exec) {
        let Some(service) = self.service(&exec.task) else {
            return;
        };
        let id = convert::id(&exec.task);
        let origin = if exec.parent.cgroup_id == exec.task.cgroup_id {
            Origin::Inside
        } else if exec.guest == 1 {
            Origin::Guest
        } else {
            Origin::Outside
        };
        if origin == Origin::Inside && !self.tasks.contains_key(&id) {
            return;
        }
        let executable = executable::of_process(Path::new(PROC), id.pid, &raw::text(&exec.filename));
        if executable::is_runtime(&executable) {
            return;
        }
        self.tasks.insert(id, exec.task);
        self.services
            .execd(&service, id, origin, executable, exec.head.time_ns);
    }

    fn exited(&mut self, exit: &raw::Exit) {
        let id = convert::id(&exit.task);
        let Some(service) = self.service(&exit.task) else {
            return;
        };
        let (was_main, change) = self.services.exited(&service, id, exit.head.time_ns);
        if let Some(change) = change {
            self.tell(&change);
        }
        self.tasks.remove(&id);
        if was_main {
            self.context
                .emitter
                .emit(convert::exited(exit, true, &self.context));
        }
    }

    /// Signals between processes matter when they reach the main process of a service.
    fn signalled(&self, signal: &raw::Signal) {
        let (target, time_ns) = (convert::id(&signal.target), signal.head.time_ns);
        let is_main = self
            .service(&signal.target)
            .is_some_and(|service| self.services.is_main(&service, target, time_ns));
        if is_main && signal.from_kernel == 0 {
            self.context.emitter.emit(convert::signal(signal, &self.context));
        }
    }

    fn tell(&self, change: &Change) {
        if let Some(task) = self.tasks.get(&change.process) {
            self.context
                .emitter
                .emit(convert::changed(change, task, &self.context));
        }
    }

    /// What runs already is no change. The main process of a service is the one whose parent is elsewhere.
    fn find_running(&mut self) {
        let pids = std::fs::read_dir(PROC).into_iter().flatten().flatten();
        let mut pids: Vec<u32> = pids
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        for (task, parent) in pids.into_iter().filter_map(running) {
            let Some(service) = self
                .service(&task)
                .filter(|_| cgroup_id_of(parent) != Some(task.cgroup_id))
            else {
                continue;
            };
            let id = convert::id(&task);
            self.tasks.insert(id, task);
            let origin = if is_guest(id.pid) {
                Origin::Guest
            } else {
                Origin::Outside
            };
            let executable = executable::of_process(Path::new(PROC), id.pid, "");
            self.services.found(&service, id, origin, executable);
        }
    }
}

/// Whether a process dies with the first one of its pid namespace, and is another.
fn is_guest(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("{PROC}/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<&str> = numbers.into_iter().flat_map(str::split_whitespace).collect();
    matches!(numbers.as_slice(), [_, .., own] if *own != "1")
}

fn lives(id: ProcessId) -> bool {
    let same_start = |task: &raw::Task| task.start_ns / NS_PER_TICK == id.start_ns / NS_PER_TICK;
    running(id.pid).is_some_and(|(task, _)| same_start(&task))
}

/// A living process and the pid of its parent, from `/proc/<pid>/stat`.
fn running(pid: u32) -> Option<(raw::Task, u32)> {
    let stat = std::fs::read_to_string(format!("{PROC}/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after.split(' ').collect();
    let start_ns = fields.get(19)?.parse::<u64>().ok()? * NS_PER_TICK;
    let mut comm = [0; 16];
    let name = before.split_once('(')?.1;
    comm.iter_mut()
        .zip(name.bytes().take(15))
        .for_each(|(to, byte)| *to = byte);
    let task = raw::Task {
        start_ns,
        cgroup_id: cgroup_id_of(pid)?,
        tgid: pid,
        tid: pid,
        comm,
    };
    Some((task, fields.get(1)?.parse().ok()?))
}
