//! Who ends as its child in another service has ended: the monitor of a container (conmon), `sudo`, `nsenter`. It has not failed by
//! itself, and the end of its child is told as what it is.

use std::collections::{HashMap, VecDeque};

use ebpf::raw;

use super::services::ProcessId;

/// Who passes a status on does so at once, and removes what the child leaves behind first.
const WITHIN_NS: u64 = 10_000_000_000;
/// Most ends that are remembered.
const MOST: usize = 1024;
/// Most of one parent: a monitor starts somebody to tidy up, who may fail too.
const MOST_OF_ONE: usize = 4;
/// A shell passes on the number of a signal with this added to it.
const BY_SIGNAL: u32 = 128;

/// The last failing ends of children, by their parent.
#[derive(Debug, Default)]
pub(super) struct PassedOn(HashMap<ProcessId, VecDeque<Ended>>);

#[derive(Debug)]
struct Ended {
    service: String,
    status: u32,
    time_ns: u64,
}

impl PassedOn {
    /// A process of `service` ended with this status ([`status`]), at a time since boot; says whether that is its child's.
    pub(super) fn ended(
        &mut self,
        id: ProcessId,
        parent: ProcessId,
        service: &str,
        status: u32,
        time_ns: u64,
    ) -> bool {
        let children = self.0.remove(&id).unwrap_or_default();
        if status == 0 {
            return false;
        }
        let is_recent = |ended: &Ended| time_ns < ended.time_ns + WITHIN_NS;
        let mut children = children.iter().filter(|child| is_recent(child));
        let passes_on = children.any(|child| child.status == status && child.service != service);
        if self.0.len() >= MOST {
            self.0.retain(|_, ends| ends.iter().any(is_recent));
        }
        if self.0.len() < MOST || self.0.contains_key(&parent) {
            let ends = self.0.entry(parent).or_default();
            if ends.len() == MOST_OF_ONE {
                ends.pop_front();
            }
            let service = service.to_owned();
            ends.push_back(Ended {
                service,
                status,
                time_ns,
            });
        }
        passes_on
    }
}

/// What a parent would pass on of an end.
pub(super) fn status(exit: &raw::Exit) -> u32 {
    let by_signal = exit.signal().map(|signal| BY_SIGNAL + signal);
    by_signal.or(exit.code()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start_ns: 1 }
    }

    /// Whether 2 passes on what its child 3 in this service ended with.
    fn passes_on(service: &str, child: u32, own: u32, after_ns: u64) -> bool {
        let mut ends = PassedOn::default();
        assert!(!ends.ended(id(3), id(2), service, child, SECOND));
        ends.ended(id(2), id(1), "/monitor", own, SECOND + after_ns)
    }

    #[test]
    fn only_the_status_of_a_child_elsewhere_is_passed_on_and_soon() {
        assert!(passes_on("/work", 137, 137, SECOND));
        assert!(!passes_on("/work", 137, 1, SECOND), "a failure of its own");
        assert!(!passes_on("/work", 0, 0, SECOND), "nobody failed");
        assert!(!passes_on("/monitor", 137, 137, SECOND), "its own worker");
        assert!(!passes_on("/work", 137, 137, WITHIN_NS), "much later");
    }

    #[test]
    fn who_tidies_up_after_a_child_may_fail_too() {
        let mut ends = PassedOn::default();
        ends.ended(id(3), id(2), "/work", 137, SECOND);
        for pid in (4..).take(MOST_OF_ONE - 1) {
            ends.ended(id(pid), id(2), "/monitor", 125, SECOND);
        }
        assert!(ends.ended(id(2), id(1), "/monitor", 137, SECOND));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ends = PassedOn::default();
        for pid in 0..5000 {
            ends.ended(id(10_000 + pid), id(pid), "/work", 1, SECOND);
        }
        assert_eq!(ends.0.len(), MOST);
        for pid in 0..100 {
            ends.ended(id(10_000 + pid), id(1), "/work", 1, SECOND);
        }
        assert_eq!(ends.0[&id(1)].len(), MOST_OF_ONE);
        ends.ended(id(20_000), id(9), "/work", 1, 20 * SECOND);
        assert_eq!(ends.0.len(), 1);
    }
}
