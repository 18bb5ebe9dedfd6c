//! What has served in one service, and what takes its place.

use bus_schema::event::process::Executable;

use super::super::executable::{differ, program_name};

/// Programs of one service that are remembered, as of a container in which several run.
const MOST_PROGRAMS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Programs {
    /// The newest last.
    served: Vec<Executable>,
    /// A main process ended in failure before it served, and bore a name that never has.
    failed: Option<Executable>,
}

impl Programs {
    /// One that served before anybody looked: it takes no place.
    pub(super) fn add(&mut self, program: &Executable) {
        if !self.has_served(program) {
            if self.served.len() >= MOST_PROGRAMS {
                self.served.remove(0);
            }
            self.served.push(program.clone());
        }
    }

    /// Whether it, or one of its name, has served.
    pub(super) fn has_served(&self, program: &Executable) -> bool {
        let is_it = |served: &Executable| is_version(served, program) || !differ(served, program);
        self.served.iter().any(is_it)
    }

    /// A process that served with `former` has become another program: that was its start.
    pub(super) fn forget(&mut self, former: &Executable) {
        self.served.retain(|served| differ(served, former));
    }

    /// Another version of what has served: gives what it takes the place of.
    pub(super) fn version(&mut self, program: &Executable) -> Option<Executable> {
        if self.served.iter().any(|served| !differ(served, program)) {
            return None;
        }
        let old = self
            .served
            .iter_mut()
            .find(|served| is_version(served, program))?;
        Some(std::mem::replace(old, program.clone()))
    }

    /// One that serves: gives what it takes the place of. `is_alone` where no other process serves beside it; of another
    /// name it then takes the place of the only one there was, once it `lasts`.
    pub(super) fn serves(&mut self, program: &Executable, is_alone: bool, lasts: bool) -> Option<Executable> {
        self.failed = None;
        if self.has_served(program) {
            return self.version(program);
        }
        match self.served.as_mut_slice() {
            [only] if is_alone => lasts.then(|| std::mem::replace(only, program.clone())),
            _ => {
                self.add(program);
                None
            }
        }
    }

    /// A main process that ended in failure before it served: another version of what has served takes its place, and so does
    /// what fails again. A helper fails once, and then nothing is started.
    pub(super) fn failed(&mut self, program: &Executable) -> Option<Executable> {
        if self.has_served(program) {
            return self.version(program);
        }
        let fails_again = self
            .failed
            .replace(program.clone())
            .is_some_and(|failed| !differ(&failed, program));
        match self.served.as_mut_slice() {
            [only] if fails_again => Some(std::mem::replace(only, program.clone())),
            _ => None,
        }
    }
}

/// Whether they bear one name; another interpreter of the same language is another version of it.
pub(super) fn is_version(old: &Executable, new: &Executable) -> bool {
    program_name(&old.path) == program_name(&new.path)
}
