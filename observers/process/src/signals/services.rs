//! The main process of each service, followed over restarts.
//!
//! A service is a control group path. Its main process is the one that was put there from outside: by a supervisor, systemd
//! or a container runtime. What enters while the main process lives (a probe, a shell of somebody looking around) stands by,
//! and becomes the main process only when it survives the main process. A program that replaces itself while it starts (a
//! shell script that execs the real thing) is judged when it has settled.

use std::collections::HashMap;

use bus_schema::event::process::{Executable, ExecutableChanged};

use super::executable::{differ, label};

/// A main process that has not exec'd for this long has settled.
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

/// One living process that entered a service from outside.
#[derive(Debug, Clone)]
struct Entrant {
    id: ProcessId,
    executable: Executable,
    exec_ns: u64,
    /// It was gone when last looked; its end may be on the way.
    is_missing: bool,
}

#[derive(Debug, Default)]
struct Service {
    /// In order of entry; the first is the main process.
    entrants: Vec<Entrant>,
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
    /// A process that was there before: its executable is what the service runs, and no change.
    pub fn found(&mut self, service: &str, id: ProcessId, executable: Executable) {
        let known = self.service(service, 0);
        if known.entrants.is_empty() {
            known.ran = Some(executable.clone());
            known.is_judged = true;
        }
        known.entrants.push(Entrant {
            id,
            executable,
            exec_ns: 0,
            is_missing: false,
        });
    }

    /// A process of the service exec'd. `from_outside` says whether its parent is in another control group.
    pub fn execd(
        &mut self,
        service: &str,
        id: ProcessId,
        from_outside: bool,
        executable: Executable,
        time_ns: u64,
    ) {
        let known = self.service(service, time_ns);
        let place = known.entrants.iter().position(|entrant| entrant.id == id);
        match place.and_then(|place| known.entrants.get_mut(place)) {
            Some(entrant) => {
                entrant.executable = executable;
                entrant.exec_ns = time_ns;
            }
            None if from_outside => known.entrants.push(Entrant {
                id,
                executable,
                exec_ns: time_ns,
                is_missing: false,
            }),
            None => return,
        }
        known.emptied_ns = None;
        if place.unwrap_or(known.entrants.len() - 1) == 0 {
            known.is_judged = false;
        }
    }

    /// A process ended. Says whether it was the main process, and the change that it had not lived long enough to show.
    pub fn exited(&mut self, service: &str, id: ProcessId, time_ns: u64) -> (bool, Option<Change>) {
        let Some(known) = self.services.get_mut(service) else {
            return (false, None);
        };
        let was_main = known.entrants.first().is_some_and(|entrant| entrant.id == id);
        let change = if was_main { known.judge(service) } else { None };
        known.entrants.retain(|entrant| entrant.id != id);
        if was_main {
            known.is_judged = false;
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
            let main = service.entrants.first().map(|main| main.id);
            service.entrants.retain_mut(|entrant| {
                let was_missing = std::mem::replace(&mut entrant.is_missing, !lives(entrant.id));
                let is_gone = was_missing && entrant.is_missing;
                forgotten.extend(is_gone.then_some(entrant.id));
                !is_gone
            });
            if service.entrants.first().map(|main| main.id) != main {
                service.is_judged = false;
            }
            if service.entrants.is_empty() {
                service.emptied_ns.get_or_insert(now_ns);
            }
        }
        forgotten
    }

    /// Whether `id` is the main process of the service.
    pub fn is_main(&self, service: &str, id: ProcessId) -> bool {
        let entrants = self.services.get(service).map(|known| &known.entrants);
        entrants
            .and_then(|entrants| entrants.first())
            .is_some_and(|main| main.id == id)
    }

    /// Judges main processes that have settled, and forgets services that stayed empty.
    pub fn pass_time(&mut self, now_ns: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, service) in &mut self.services {
            let settled = service
                .entrants
                .first()
                .is_some_and(|main| now_ns >= main.exec_ns + SETTLED_AFTER_NS);
            if settled && !service.is_judged {
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
    /// Compares the main process with what ran before.
    fn judge(&mut self, name: &str) -> Option<Change> {
        let main = self.entrants.first()?;
        if self.is_judged {
            return None;
        }
        self.is_judged = true;
        let before = self.ran.replace(main.executable.clone())?;
        if !differ(&before, &main.executable) {
            return None;
        }
        let (mut old, mut new) = (before, main.executable.clone());
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
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start_ns: 1 }
    }

    fn program(version: &str) -> Executable {
        Executable {
            path: format!("/srv/{version}/cache"),
            content_hash: version.into(),
            ..Executable::default()
        }
    }

    fn restart(services: &mut Services, pid: u32, version: &str, time_ns: u64) -> Vec<Change> {
        services.exited("/shop/cache", id(pid - 1), time_ns);
        services.execd("/shop/cache", id(pid), true, program(version), time_ns + 1);
        services.pass_time(time_ns + SECOND)
    }

    fn running() -> Services {
        let mut services = Services::default();
        services.found("/shop/cache", id(10), program("v6.2"));
        services
    }

    #[test]
    fn a_process_whose_end_was_lost_does_not_stand_in_the_way_of_the_next() {
        let mut services = running();
        services.execd("/shop/cache", id(11), true, program("v7.0"), 5 * SECOND);
        let lives = |process: ProcessId| process.pid == 11;
        assert_eq!(
            services.forget_gone(lives, 6 * SECOND),
            [],
            "its end may be on the way"
        );
        assert!(!services.is_main("/shop/cache", id(11)));
        assert_eq!(services.forget_gone(lives, 16 * SECOND), [id(10)]);
        assert!(services.is_main("/shop/cache", id(11)));
        let changes = services.pass_time(17 * SECOND);
        assert_eq!(changes.len(), 1, "and what it changed is seen");
        let all_live = |_| true;
        assert_eq!(services.forget_gone(all_live, 26 * SECOND), []);
        assert_eq!(services.forget_gone(all_live, 36 * SECOND), []);
    }

    #[test]
    fn another_executable_in_the_same_service_is_a_change() {
        let changes = restart(&mut running(), 11, "v7.0", 5 * SECOND);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].process, changes[0].time_ns), (id(11), 5 * SECOND + 1));
        assert_eq!(
            (
                changes[0].change.old.label.as_str(),
                changes[0].change.new.label.as_str()
            ),
            ("v6.2", "v7.0")
        );
    }

    #[test]
    fn a_restart_of_the_same_executable_and_a_first_start_are_none() {
        assert_eq!(restart(&mut running(), 11, "v6.2", 5 * SECOND), []);
        assert_eq!(restart(&mut Services::default(), 11, "v6.2", 5 * SECOND), []);
    }

    #[test]
    fn a_probe_or_a_shell_inside_is_none() {
        let mut services = running();
        services.execd("/shop/cache", id(50), true, program("sh"), SECOND);
        services.execd("/shop/cache", id(51), false, program("grep"), SECOND);
        assert_eq!(services.pass_time(3 * SECOND), []);
        assert_eq!(services.exited("/shop/cache", id(50), 4 * SECOND), (false, None));
        assert!(services.is_main("/shop/cache", id(10)));
    }

    #[test]
    fn a_script_that_execs_the_real_thing_is_judged_by_the_real_thing() {
        let mut services = running();
        services.exited("/shop/cache", id(10), SECOND);
        services.execd("/shop/cache", id(11), true, program("sh"), SECOND);
        services.execd("/shop/cache", id(11), false, program("v6.2"), SECOND + 1000);
        assert_eq!(services.pass_time(3 * SECOND), []);
    }

    #[test]
    fn a_new_version_that_dies_at_once_is_still_a_change() {
        let mut services = running();
        services.exited("/shop/cache", id(10), SECOND);
        services.execd("/shop/cache", id(11), true, program("v7.0"), SECOND);
        let (was_main, change) = services.exited("/shop/cache", id(11), SECOND + 1000);
        assert!(was_main && change.is_some());
    }

    #[test]
    fn one_that_started_before_the_old_one_stopped_takes_its_place() {
        let mut services = running();
        services.execd("/shop/cache", id(11), true, program("v7.0"), SECOND);
        assert_eq!(services.pass_time(3 * SECOND), []);
        services.exited("/shop/cache", id(10), 4 * SECOND);
        assert_eq!(services.pass_time(4 * SECOND).len(), 1);
    }

    #[test]
    fn a_service_that_stayed_empty_is_forgotten() {
        let mut services = running();
        services.exited("/shop/cache", id(10), SECOND);
        services.pass_time(SECOND + FORGOTTEN_AFTER_NS);
        assert!(services.services.is_empty());
    }
}
