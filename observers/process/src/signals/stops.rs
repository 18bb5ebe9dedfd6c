//! Who was asked to stop: a program may answer with any exit status, and who does not answer is killed.

use std::collections::HashMap;

use ebpf::raw;

use super::services::ProcessId;

/// Supervisors wait for minutes at most; who ends later than that has another reason.
const ANSWERED_WITHIN_NS: u64 = 10 * 60 * 1_000_000_000;
/// Most processes that are asked at once.
const MOST: usize = 4096;
/// SIGINT, SIGTERM. Others ask some programs to stop and others to read their configuration again or to print their threads.
const STOPS: [u32; 2] = [2, 15];

#[derive(Debug, Default)]
pub(super) struct Stops(HashMap<ProcessId, u64>);

impl Stops {
    /// Notes a signal that another process or a terminal sent.
    pub(super) fn note(&mut self, target: ProcessId, signal: &raw::Signal, time_ns: u64) {
        if !STOPS.contains(&signal.signal) {
            return;
        }
        if self.0.len() >= MOST {
            self.0
                .retain(|_, asked_ns| time_ns < *asked_ns + ANSWERED_WITHIN_NS);
        }
        if self.0.len() < MOST {
            self.0.insert(target, time_ns);
        }
    }

    /// A process ended; says whether it had been asked to.
    pub(super) fn ended(&mut self, id: ProcessId, time_ns: u64) -> bool {
        self.0
            .remove(&id)
            .is_some_and(|asked_ns| time_ns < asked_ns + ANSWERED_WITHIN_NS)
    }
}
