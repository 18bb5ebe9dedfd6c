//! The programs of each service, followed over restarts.
//!
//! A service is a control group path. Its *main process* is the one that was put there from outside: by a supervisor, systemd
//! or a container runtime. What enters while the main process lives (a probe, a shell of somebody looking around) stands by,
//! and becomes the main process only when it survives the main process: not what shares the pid namespace of a container,
//! which dies with the container's first process, and not what is killed together with the main process.
//!
//! Which program the service *runs* is another question: a script that waits and then becomes the real thing, a helper that
//! prepares the start, a supervisor inside the group are there before it. Each process is looked at several times after its
//! exec; one that listens serves, and so does a main process that has gone on for half a minute. A change is told of what
//! served, never of what helped.

mod member;
mod programs;

use std::collections::HashMap;

use bus_schema::event::process::{Executable, ExecutableChanged};

use member::Member;
use programs::{Programs, is_version};

/// What stood by has outlived its predecessor after this time: who stops a service kills all of it at once.
const OUTLIVES_AFTER_NS: u64 = 500_000_000;
/// A service that has been empty for this long is forgotten, with the executables it ran.
const FORGOTTEN_AFTER_NS: u64 = 15 * 60 * 1_000_000_000;
/// Most services followed.
const MOST_SERVICES: usize = 20_000;
/// Most processes followed of one service; of more the later ones are its workers.
const MOST_MEMBERS: usize = 256;

/// A process by number and start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Number in the host's pid namespace.
    pub pid: u32,
    /// Kernel start time, ns; any clock, used only to tell equal numbers apart.
    pub start_ns: u64,
}

/// From where a process came into a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its parent belongs to the service.
    Inside,
    /// Its parent is elsewhere.
    Outside,
    /// The same, and it dies with the first process of its pid namespace, which is another.
    Guest,
}

/// What is seen of a living process.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// What it runs.
    pub executable: Executable,
    /// Whether it holds a socket that listens.
    pub listens: bool,
}

/// What a process was to its service when it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct End {
    /// It was the main process, or it served.
    pub is_main: bool,
    /// It was forked by such a process and ran the same program.
    pub is_worker: bool,
    /// Neither it nor a program of its name has ever served here.
    pub never_served: bool,
    /// The change that it had not lived long enough to show.
    pub change: Option<Change>,
}

/// A change that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the service's control group.
    pub service: String,
    /// The process that runs the new executable.
    pub process: ProcessId,
    /// When it began to, in the clock of the calls.
    pub time_ns: u64,
    /// From what to what.
    pub change: ExecutableChanged,
}

/// All services of the node.
#[derive(Debug, Default)]
pub struct Services {
    services: HashMap<String, Service>,
}

#[derive(Debug, Default)]
struct Service {
    /// In order of entry; the first that may be is the main process.
    members: Vec<Member>,
    programs: Programs,
    /// When the last main process ended.
    ended_ns: Option<u64>,
    emptied_ns: Option<u64>,
}

impl Services {
    /// A process that was there before: what it serves with is no change. They may come in any order.
    pub fn found(&mut self, name: &str, id: ProcessId, origin: Origin, sight: &Sight, now_ns: u64) {
        let service = self.service(name, now_ns);
        if origin == Origin::Outside {
            service.members.iter_mut().for_each(Member::stands_aside);
        }
        service.enter(id, origin, sight.executable.clone(), now_ns);
        if sight.listens || service.rules(id, now_ns) {
            service.programs.add(&sight.executable);
        }
        if let Some(member) = service.member(id) {
            member.serves = sight.listens;
        }
    }

    /// A process of the service exec'd; what came from inside is looked at later.
    pub fn execd(&mut self, name: &str, id: ProcessId, origin: Origin, executable: Executable, time_ns: u64) {
        if !self.follows(name, id) {
            self.leaves_others(name, id, time_ns);
        }
        let service = self.service(name, time_ns);
        service.emptied_ns = None;
        match service.member(id) {
            Some(member) => member.became(executable, time_ns),
            None => service.enter(id, origin, executable, time_ns),
        }
    }

    /// A helper execs where it was started, joins another group, and becomes the service there.
    fn leaves_others(&mut self, name: &str, id: ProcessId, time_ns: u64) {
        for (_, service) in self.services.iter_mut().filter(|(other, _)| *other != name) {
            let before = service.members.len();
            service.members.retain(|member| member.id != id);
            if service.members.is_empty() && before > 0 {
                service.emptied_ns = Some(time_ns);
            }
        }
    }

    /// Whether this process is followed: it came from outside, or has exec'd inside.
    pub fn follows(&self, name: &str, id: ProcessId) -> bool {
        let service = self.services.get(name);
        service.is_some_and(|service| service.members.iter().any(|member| member.id == id))
    }

    /// A process ended; `failed` unless that was its own or somebody's wish. What its parent was tells what it was.
    pub fn exited(
        &mut self,
        name: &str,
        id: ProcessId,
        parent: ProcessId,
        failed: bool,
        time_ns: u64,
    ) -> End {
        let Some(service) = self.services.get_mut(name) else {
            return End {
                never_served: true,
                ..End::default()
            };
        };
        let was_main = service.rules(id, time_ns);
        let (is_worker, found) = (
            service.is_worker(id, parent, time_ns),
            service.member(id).cloned(),
        );
        let serves = found.as_ref().is_some_and(|member| member.serves);
        let change = found
            .as_ref()
            .filter(|_| was_main && failed)
            .and_then(|member| Some(member.change(name, service.programs.failed(&member.executable)?)));
        let program = found.as_ref().map(|member| &member.executable);
        let has_served = program.is_some_and(|program| service.programs.has_served(program));
        service.members.retain(|member| member.id != id);
        if was_main {
            service.ended_ns = Some(time_ns);
        }
        if service.members.is_empty() {
            service.emptied_ns = Some(time_ns);
        }
        End {
            is_main: was_main || serves,
            is_worker,
            never_served: !serves && !is_worker && !has_served,
            change,
        }
    }

    /// Forgets processes that were gone when last looked and still are: the record of their end was lost.
    pub fn forget_gone(&mut self, lives: impl Fn(ProcessId) -> bool, now_ns: u64) -> Vec<ProcessId> {
        let mut forgotten = Vec::new();
        for service in self.services.values_mut() {
            service.members.retain_mut(|member| {
                let was_missing = std::mem::replace(&mut member.is_missing, !lives(member.id));
                let is_gone = was_missing && member.is_missing;
                forgotten.extend(is_gone.then_some(member.id));
                !is_gone
            });
            if service.members.is_empty() {
                service.emptied_ns.get_or_insert(now_ns);
            }
        }
        forgotten
    }

    /// Whether `id` is the main process of the service at `time_ns`, or serves in it, by itself or for its `parent`.
    pub fn is_serving(&self, name: &str, id: ProcessId, parent: ProcessId, time_ns: u64) -> bool {
        self.services
            .get(name)
            .is_some_and(|service| service.is_told_of(id, time_ns) || service.is_worker(id, parent, time_ns))
    }

    /// Whether nobody is left whose end would be told: the main process may have forked away.
    pub fn is_left_alone(&self, name: &str) -> bool {
        let service = self.services.get(name);
        service.is_some_and(|service| service.main().is_none())
    }

    /// Looks at processes that have run one program for long enough, and forgets services that stayed empty.
    pub fn pass_time(&mut self, now_ns: u64, look: impl Fn(ProcessId) -> Option<Sight>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, service) in &mut self.services {
            service.look(name, now_ns, &look, &mut changes);
        }
        self.services.retain(|_, service| {
            service
                .emptied_ns
                .is_none_or(|emptied_ns| now_ns < emptied_ns + FORGOTTEN_AFTER_NS)
        });
        changes
    }

    fn service(&mut self, name: &str, now_ns: u64) -> &mut Service {
        if self.services.len() >= MOST_SERVICES && !self.services.contains_key(name) {
            self.make_room(now_ns);
        }
        self.services.entry(name.to_owned()).or_default()
    }

    /// Drops the service that has been empty for longest; with none empty, any: a node does not run that many.
    fn make_room(&mut self, now_ns: u64) {
        let oldest = self
            .services
            .iter()
            .min_by_key(|(_, service)| service.emptied_ns.unwrap_or(now_ns.saturating_add(1)));
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.services.remove(&name);
        }
    }
}

impl Service {
    fn enter(&mut self, id: ProcessId, origin: Origin, executable: Executable, time_ns: u64) {
        if self.members.len() < MOST_MEMBERS {
            let has_main = self.main().is_some();
            self.members
                .push(Member::new(id, origin, has_main, executable, time_ns));
        }
    }

    fn member(&mut self, id: ProcessId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    fn main(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.may_be_main)
    }

    /// Whether `id` is the main process, and has outlived the one before if it stood by.
    fn rules(&self, id: ProcessId, now_ns: u64) -> bool {
        let has_outlived = |main: &Member| {
            self.ended_ns
                .is_none_or(|ended_ns| main.entered_ns >= ended_ns || now_ns >= ended_ns + OUTLIVES_AFTER_NS)
        };
        self.main()
            .is_some_and(|main| main.id == id && has_outlived(main))
    }

    fn is_told_of(&self, id: ProcessId, now_ns: u64) -> bool {
        let serves = |member: &Member| member.id == id && member.serves;
        self.rules(id, now_ns) || self.members.iter().any(serves)
    }

    /// What is no member has not exec'd: it runs what its parent runs.
    fn is_worker(&self, id: ProcessId, parent: ProcessId, now_ns: u64) -> bool {
        !self.members.iter().any(|member| member.id == id) && self.is_told_of(parent, now_ns)
    }

    fn look(
        &mut self,
        name: &str,
        now_ns: u64,
        look: impl Fn(ProcessId) -> Option<Sight>,
        changes: &mut Vec<Change>,
    ) {
        let is_due = |member: &&Member| member.is_due(self.rules(member.id, now_ns), now_ns);
        let due: Vec<_> = self
            .members
            .iter()
            .filter(is_due)
            .map(|member| member.id)
            .collect();
        for id in due {
            let rules = self.rules(id, now_ns);
            if let (Some(sight), Some(member)) = (look(id), self.member(id)) {
                member.executable = sight.executable;
                member.serves |= sight.listens;
            }
            changes.extend(self.judge(name, id, rules, now_ns));
        }
    }

    /// Compares what one process runs with what served before.
    fn judge(&mut self, name: &str, id: ProcessId, rules: bool, now_ns: u64) -> Option<Change> {
        let is_alone = !self.members.iter().any(|member| member.id != id && member.serves);
        let Self {
            members, programs, ..
        } = self;
        let member = members.iter_mut().find(|member| member.id == id)?;
        member.looked(rules, now_ns);
        member.serves |= rules && member.goes_on(now_ns);
        let replaced = if member.serves {
            let former = member
                .former
                .take_if(|former| !is_version(former, &member.executable));
            if let Some(former) = &former {
                programs.forget(former);
            }
            programs.serves(&member.executable, is_alone, member.lasts(now_ns))
        } else if rules {
            programs.version(&member.executable)
        } else {
            None
        };
        replaced.map(|before| member.change(name, before))
    }
}

#[cfg(test)]
mod tests;
