//! The main process of each service, followed over restarts.
//!
//! A service is a control group path. Its main process is the one that was put there from outside: by a supervisor, systemd
//! or a container runtime. What enters while the main process lives (a probe, a shell of somebody looking around) stands by,
//! and becomes the main process only when it survives the main process: not what shares the pid namespace of a container,
//! which dies with the container's first process, and not what is killed together with the main process. A program that
//! replaces itself while it starts (a shell script that execs the real thing) is judged when it has settled.

use std::collections::HashMap;

use bus_schema::event::process::{Executable, ExecutableChanged};

use super::executable::{differ, label};

/// A main process that has not exec'd for this long has settled. What stood by has outlived its predecessor after the same
/// time: who stops a service kills all of it at once.
const SETTLED_AFTER_NS: u64 = 500_000_000;
/// A service that has been empty for this long is forgotten, with the executable it ran.
const FORGOTTEN_AFTER_NS: u64 = 15 * 60 * 1_000_000_000;
/// Most services followed.
const MOST_SERVICES: usize = 20_000;

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

/// One living process that entered a service from outside.
#[derive(Debug, Clone)]
struct Entrant {
    id: ProcessId,
    is_guest: bool,
    /// It never becomes the main process.
    is_helper: bool,
    executable: Executable,
    entered_ns: u64,
    exec_ns: u64,
    /// It was gone when last looked; its end may be on the way.
    is_missing: bool,
}

#[derive(Debug, Default)]
struct Service {
    /// In order of entry; the first that is no helper is the main process.
    entrants: Vec<Entrant>,
    /// When the last main process ended.
    ended_ns: Option<u64>,
    /// The executable of the last main process that settled or ended.
    ran: Option<Executable>,
    is_judged: bool,
    emptied_ns: Option<u64>,
}

/// A change that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the service's control group.
    pub service: String,
    /// The main process that runs the new executable.
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

impl Services {
    /// A process that was there before: its executable is what the service runs, and no change. They may come in any order.
    pub fn found(&mut self, service: &str, id: ProcessId, origin: Origin, executable: Executable) {
        let known = self.service(service, 0);
        if origin != Origin::Guest {
            known
                .entrants
                .iter_mut()
                .for_each(|entrant| entrant.is_helper |= entrant.is_guest);
        }
        known.enter(id, origin, executable.clone(), 0);
        if known.is_main(id) {
            known.ran = Some(executable);
            known.is_judged = true;
        }
    }

    /// A process of the service exec'd.
    pub fn execd(
        &mut self,
        service: &str,
        id: ProcessId,
        origin: Origin,
        executable: Executable,
        time_ns: u64,
    ) {
        let known = self.service(service, time_ns);
        match known.entrants.iter_mut().find(|entrant| entrant.id == id) {
            Some(entrant) => {
                entrant.executable = executable;
                entrant.exec_ns = time_ns;
            }
            None if origin == Origin::Inside => return,
            None => known.enter(id, origin, executable, time_ns),
        }
        known.emptied_ns = None;
        if known.is_main(id) {
            known.is_judged = false;
        }
    }

    /// A process ended. Says whether it was the main process, and the change that it had not lived long enough to show.
    pub fn exited(&mut self, service: &str, id: ProcessId, time_ns: u64) -> (bool, Option<Change>) {
        let Some(known) = self.services.get_mut(service) else {
            return (false, None);
        };
        let was_main = known.rules(id, time_ns);
        let change = if was_main { known.judge(service) } else { None };
        known.entrants.retain(|entrant| entrant.id != id);
        if was_main {
            known.is_judged = false;
            known.ended_ns = Some(time_ns);
        }
        if known.entrants.is_empty() {
            known.emptied_ns = Some(time_ns);
        }
        (was_main, change)
    }

    /// Forgets processes that were gone when last looked and still are: the record of their end was lost. Returns them.
    pub fn forget_gone(&mut self, lives: impl Fn(ProcessId) -> bool, now_ns: u64) -> Vec<ProcessId> {
        let mut forgotten = Vec::new();
        for service in self.services.values_mut() {
            let main = service.main().map(|main| main.id);
            service.entrants.retain_mut(|entrant| {
                let was_missing = std::mem::replace(&mut entrant.is_missing, !lives(entrant.id));
                let is_gone = was_missing && entrant.is_missing;
                forgotten.extend(is_gone.then_some(entrant.id));
                !is_gone
            });
            if service.main().map(|main| main.id) != main {
                service.is_judged = false;
            }
            if service.entrants.is_empty() {
                service.emptied_ns.get_or_insert(now_ns);
            }
        }
        forgotten
    }

    /// Whether `id` is the main process of the service at `time_ns`.
    pub fn is_main(&self, service: &str, id: ProcessId, time_ns: u64) -> bool {
        let known = self.services.get(service);
        known.is_some_and(|known| known.rules(id, time_ns))
    }

    /// Judges main processes that have settled, and forgets services that stayed empty.
    pub fn pass_time(&mut self, now_ns: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, service) in &mut self.services {
            if service.has_settled(now_ns) && !service.is_judged {
                changes.extend(service.judge(name));
            }
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
        let is_guest = origin == Origin::Guest;
        self.entrants.push(Entrant {
            id,
            is_guest,
            is_helper: is_guest && self.main().is_some(),
            executable,
            entered_ns: time_ns,
            exec_ns: time_ns,
            is_missing: false,
        });
    }

    fn main(&self) -> Option<&Entrant> {
        self.entrants.iter().find(|entrant| !entrant.is_helper)
    }

    fn is_main(&self, id: ProcessId) -> bool {
        self.main().is_some_and(|main| main.id == id)
    }

    /// Whether `id` is the main process, and has outlived the one before if it stood by.
    fn rules(&self, id: ProcessId, now_ns: u64) -> bool {
        let has_outlived = |main: &Entrant| {
            self.ended_ns
                .is_none_or(|ended_ns| main.entered_ns >= ended_ns || now_ns >= ended_ns + SETTLED_AFTER_NS)
        };
        self.main()
            .is_some_and(|main| main.id == id && has_outlived(main))
    }

    fn has_settled(&self, now_ns: u64) -> bool {
        self.main()
            .is_some_and(|main| self.rules(main.id, now_ns) && now_ns >= main.exec_ns + SETTLED_AFTER_NS)
    }

    /// Compares the main process with what ran before.
    fn judge(&mut self, name: &str) -> Option<Change> {
        let main = self.main()?.clone();
        if self.is_judged {
            return None;
        }
        self.is_judged = true;
        let before = self.ran.replace(main.executable.clone())?;
        if !differ(&before, &main.executable) {
            return None;
        }
        let (mut old, mut new) = (before, main.executable);
        label(&mut old, &mut new);
        Some(Change {
            service: name.to_owned(),
            process: main.id,
            time_ns: main.exec_ns,
            change: ExecutableChanged { old, new },
        })
    }
}

#[cfg(test)]
mod tests;
