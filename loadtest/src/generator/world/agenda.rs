//! What is due, in order of time; of what is due at once, what was put first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::changes::Change;
use super::connect::Failure;
use super::rollouts::Step;

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(in crate::generator) enum Due {
    /// The next request of a user.
    User,
    /// A request reaches a pod.
    Arrive(u64),
    /// A pod has done its own work for a request.
    Worked(u64),
    /// A pod calls the next one for a request.
    Call(u64),
    /// A connection for a call cannot be had.
    Refused { frame: u64, ticket: u64, how: Failure },
    /// An answer is back.
    Answer { frame: u64, ticket: u64, status: u16 },
    /// The patience of a caller is at an end.
    Patience { frame: u64, ticket: u64 },
    /// A container has started.
    Up { pod: usize, run: u32 },
    /// Kubernetes finds that a container has ended.
    Unready { pod: usize, run: u32 },
    /// A container has run for a while.
    Stable { pod: usize, run: u32 },
    /// The memory of a leaking pod is looked at.
    Grow { pod: usize, run: u32 },
    /// A process ends by a fault of its own.
    Crash { pod: usize, run: u32 },
    /// A pod is told to end.
    Stop { pod: usize },
    /// A pod that drains has to end.
    End { pod: usize },
    /// The next step of a rollout.
    Replace(Step),
    /// Whether anything is behind a Service is looked at.
    Look(usize),
    /// Somebody, or something, changes the system.
    Change(Change),
}

#[derive(Debug)]
struct Entry {
    at_ns: u64,
    number: u64,
    due: Due,
}

impl Entry {
    fn place(&self) -> (u64, u64) {
        (self.at_ns, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// Everything that is due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    put: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at_ns: u64, due: Due) {
        self.put += 1;
        let number = self.put;
        self.entries.push(Reverse(Entry { at_ns, number, due }));
    }

    /// What is due next, and when, if that is before `end_ns`.
    pub(super) fn next_before(&mut self, end_ns: u64) -> Option<(u64, Due)> {
        let is_due = self
            .entries
            .peek()
            .is_some_and(|Reverse(entry)| entry.at_ns < end_ns);
        let Reverse(entry) = is_due.then(|| self.entries.pop()).flatten()?;
        Some((entry.at_ns, entry.due))
    }
}
