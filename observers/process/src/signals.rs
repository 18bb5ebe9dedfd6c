//! The process-signals observer: changed executables, who signalled whom, and how services end.

pub mod executable;
mod passed_on;
pub mod services;
pub mod sockets;
mod stops;

use std::path::{Path, PathBuf};

use ebpf::Loaded;
use ebpf::raw::{self, Record};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::identity::cgroup_id_of;
use observer_base::kernel::{self, Handler};
use observer_base::{Context, Observer};

use crate::convert;
use passed_on::PassedOn;
use services::{Change, Origin, ProcessId, Services, Sight};
use stops::Stops;

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
                stops: Stops::default(),
                passed_on: PassedOn::default(),
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
    stops: Stops,
    passed_on: PassedOn,
    /// Newest kernel time seen, ns since boot.
    now_ns: u64,
    seconds: u64,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::Exec(exec) = record {
            self.execd(exec);
        } else if let Record::Exit(exit) = record {
            self.exited(exit);
        } else if let Record::Signal(signal) = record {
            self.signalled(signal);
        }
    }

    fn second(&mut self, _loaded: &mut Loaded, _running: Option<u32>, _now_ns: u64) {
        self.seconds += 1;
        if self.seconds.is_multiple_of(LOOK_SECONDS) {
            self.services.forget_gone(lives, self.now_ns);
        }
    }

    fn tick(&mut self) {
        self.now_ns = self.now_ns.max(self.context.clock.boot_ns());
        for change in self.services.pass_time(self.now_ns, sight) {
            if let Some((task, _)) = running(change.process.pid) {
                self.tell(&change, &task);
            }
        }
    }
}

impl State {
    /// The control group's path names the service. What runs in the root group belongs to none.
    fn service(&self, task: &raw::Task) -> Option<String> {
        let entity = self
            .context
            .identity
            .cgroup_of(task.tgid, task.cgroup_id, self.context.clock.boot_ns());
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
        let path = raw::text(&exec.filename);
        // What helps inside is looked at when it has gone on for a while.
        let executable = if origin == Origin::Inside && !self.services.follows(&service, id) {
            executable::at(&path)
        } else {
            executable::of_process(Path::new(PROC), id.pid, &path)
        };
        if origin != Origin::Inside && executable::is_runtime(&executable) {
            return;
        }
        self.services
            .execd(&service, id, origin, executable, exec.head.time_ns);
    }

    fn exited(&mut self, exit: &raw::Exit) {
        let id = convert::id(&exit.task);
        let asked = self.stops.ended(id, exit.signal(), exit.head.time_ns);
        let Some(service) = self.service(&exit.task) else {
            return;
        };
        let parent = convert::id(&exit.parent);
        let asked = self
            .passed_on
            .ended(id, parent, &service, passed_on::status(exit), exit.head.time_ns)
            || asked;
        let failed = !asked && convert::failed(exit);
        let end = self
            .services
            .exited(&service, id, parent, failed, exit.head.time_ns);
        if let Some(change) = &end.change {
            self.tell(change, &exit.task);
        }
        if end.is_main || end.is_worker && convert::faulted(exit) {
            let event = convert::exited(exit, &end, asked, &self.context);
            self.context.emitter.emit(event);
        }
        if end.is_main && self.services.is_left_alone(&service) {
            self.follow_what_forked_away(&service);
        }
    }

    /// A daemon forks and leaves its first process; whatever is left of it is older than what is started next.
    fn follow_what_forked_away(&mut self, service: &str) {
        let left = self
            .members(service)
            .filter_map(running)
            .min_by_key(|(task, _)| task.start_ns);
        if let Some((task, _)) = left {
            self.find(service, &task, Origin::Outside);
        }
    }

    /// Pids in a control group.
    fn members(&self, service: &str) -> impl Iterator<Item = u32> {
        let hierarchy = self.context.identity.hierarchy();
        let folder = hierarchy.map(|hierarchy| hierarchy.mount.join(service.trim_start_matches('/')));
        let members = folder.and_then(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok());
        let pids: Vec<u32> = members
            .iter()
            .flat_map(|members| members.lines())
            .filter_map(|pid| pid.parse().ok())
            .collect();
        pids.into_iter()
    }

    /// Signals between processes matter when they reach one that serves. What a service does to its own workers is its business,
    /// and what a process does to itself is no signal of another.
    fn signalled(&mut self, signal: &raw::Signal) {
        let (target, time_ns) = (convert::id(&signal.target), signal.head.time_ns);
        if signal.sender.tgid == signal.target.tgid && signal.from_kernel == 0 {
            return;
        }
        self.stops.note(target, signal, time_ns);
        if signal.from_kernel == 1 || signal.is_ignored() {
            return;
        }
        let Some(service) = self.service(&signal.target) else {
            return;
        };
        let from_inside = signal.sender.cgroup_id == signal.target.cgroup_id;
        let nobody = target;
        let parent = if from_inside {
            nobody
        } else {
            convert::id(&signal.parent)
        };
        if self.services.is_serving(&service, target, parent, time_ns) {
            self.context.emitter.emit(convert::signal(signal, &self.context));
        }
    }

    fn tell(&self, change: &Change, task: &raw::Task) {
        self.context
            .emitter
            .emit(convert::changed(change, task, &self.context));
    }

    /// What runs already is no change. The main process of a service is the one whose parent is elsewhere; what runs another
    /// program than its parent has exec'd.
    fn find_running(&mut self) {
        let pids = std::fs::read_dir(PROC).into_iter().flatten().flatten();
        let mut pids: Vec<u32> = pids
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        for (task, parent) in pids.into_iter().filter_map(running) {
            let Some(service) = self.service(&task) else {
                continue;
            };
            let is_inside = cgroup_id_of(parent) == Some(task.cgroup_id);
            if is_inside && program_of(task.tgid) == program_of(parent) {
                continue;
            }
            let origin = if is_inside {
                Origin::Inside
            } else if is_guest(task.tgid) {
                Origin::Guest
            } else {
                Origin::Outside
            };
            self.find(&service, &task, origin);
        }
    }

    fn find(&mut self, service: &str, task: &raw::Task, origin: Origin) {
        let id = convert::id(task);
        if let Some(sight) = sight(id) {
            self.services.found(service, id, origin, &sight, self.now_ns);
        }
    }
}

/// What a living process runs, and whether it listens.
fn sight(id: ProcessId) -> Option<Sight> {
    let proc = Path::new(PROC);
    let executable = executable::of_process(proc, id.pid, "");
    (!executable.path.is_empty()).then(|| Sight {
        executable,
        listens: sockets::listens(proc, id.pid),
    })
}

fn program_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("{PROC}/{pid}/exe")).ok()
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
