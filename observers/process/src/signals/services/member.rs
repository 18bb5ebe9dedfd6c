//! One living process of a service.

use bus_schema::event::process::{Executable, ExecutableChanged};

use super::super::executable::label;
use super::{Change, Origin, ProcessId};

/// A process is looked at so long after its exec: servers listen soon, and what listens no more later is no wrapper.
const LOOKS_NS: [u64; 4] = [500_000_000, 2_000_000_000, LASTS_AFTER_NS, SERVES_AFTER_NS];
/// A program that serves for this long is not on its way to become another.
const LASTS_AFTER_NS: u64 = 10_000_000_000;
/// A main process that has run one program for this long serves, listening or not.
const SERVES_AFTER_NS: u64 = 30_000_000_000;

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Member {
    pub(super) id: ProcessId,
    /// Whether it is the main process when nobody is before it.
    pub(super) may_be_main: bool,
    is_guest: bool,
    pub(super) executable: Executable,
    /// What it served with before it exec'd.
    pub(super) former: Option<Executable>,
    pub(super) serves: bool,
    pub(super) entered_ns: u64,
    exec_ns: u64,
    /// How many of the looks are over.
    looks: usize,
    /// Whether it has been looked at as the main process.
    was_main: bool,
    /// It was gone when last looked; its end may be on the way.
    pub(super) is_missing: bool,
}

impl Member {
    pub(super) fn new(
        id: ProcessId,
        origin: Origin,
        has_main: bool,
        executable: Executable,
        time_ns: u64,
    ) -> Self {
        let is_guest = origin == Origin::Guest;
        Self {
            id,
            may_be_main: origin == Origin::Outside || is_guest && !has_main,
            is_guest,
            executable,
            former: None,
            serves: false,
            entered_ns: time_ns,
            exec_ns: time_ns,
            looks: 0,
            was_main: false,
            is_missing: false,
        }
    }

    /// One was found that did not come as a guest.
    pub(super) fn stands_aside(&mut self) {
        self.may_be_main &= !self.is_guest;
    }

    /// It exec'd again.
    pub(super) fn became(&mut self, executable: Executable, time_ns: u64) {
        let before = std::mem::replace(&mut self.executable, executable);
        self.former = self.serves.then_some(before);
        self.serves = false;
        self.exec_ns = time_ns;
        self.looks = 0;
        self.was_main = false;
    }

    /// Whether it is time to look at it; `rules` when it is the main process.
    pub(super) fn is_due(&self, rules: bool, now_ns: u64) -> bool {
        let passed = self.passed(now_ns);
        self.looks < passed || rules && !self.was_main && passed > 0
    }

    /// Notes that it was looked at.
    pub(super) fn looked(&mut self, rules: bool, now_ns: u64) {
        self.looks = self.passed(now_ns);
        self.was_main |= rules;
    }

    fn passed(&self, now_ns: u64) -> usize {
        let is_over = |after_ns: &&u64| now_ns >= self.exec_ns + **after_ns;
        LOOKS_NS.iter().filter(is_over).count()
    }

    pub(super) fn lasts(&self, now_ns: u64) -> bool {
        now_ns >= self.exec_ns + LASTS_AFTER_NS
    }

    pub(super) fn goes_on(&self, now_ns: u64) -> bool {
        now_ns >= self.exec_ns + SERVES_AFTER_NS
    }

    /// That it runs what it does where `old` ran before.
    pub(super) fn change(&self, service: &str, old: Executable) -> Change {
        let (mut old, mut new) = (old, self.executable.clone());
        label(&mut old, &mut new);
        Change {
            service: service.to_owned(),
            process: self.id,
            time_ns: self.exec_ns,
            change: ExecutableChanged { old, new },
        }
    }
}
