//! Who was asked to stop: a program may answer with any exit status, and who does not answer is killed.

use std::collections::HashMap;

use ebpf::raw;

use super::services::ProcessId;

/// Supervisors wait for minutes at most; who ends later than that has another reason.
const ANSWERED_WITHIN_NS: u64 = 10 * 60 * 1_000_000_000;
/// Most processes that are asked at once.
const MOST: usize = 4096;
/// SIGINT, SIGTERM.
const STOPS: [u32; 2] = [2, 15];
/// SIGHUP, SIGQUIT. They ask some programs to stop and others to read their configuration again or to print their threads: a stop
/// is what a supervisor sent and the process ended by.
const STOPS_OF_SUPERVISORS: [u32; 2] = [1, 3];
/// The first process of the host supervises what others have left.
const INIT: u32 = 1;

#[derive(Debug, Default)]
pub(super) struct Stops(HashMap<ProcessId, Asked>);

#[derive(Debug)]
struct Asked {
    time_ns: u64,
    /// The signal that it must have ended by.
    by: Option<u32>,
}

impl Asked {
    fn of(signal: &raw::Signal, time_ns: u64) -> Option<Self> {
        let sender = signal.sender.tgid;
        let is_supervisor = sender == INIT || sender == signal.parent.tgid;
        let by = if STOPS.contains(&signal.signal) {
            None
        } else if is_supervisor && STOPS_OF_SUPERVISORS.contains(&signal.signal) {
            Some(signal.signal)
        } else {
            return None;
        };
        Some(Self { time_ns, by })
    }

    fn is_recent(&self, now_ns: u64) -> bool {
        now_ns < self.time_ns + ANSWERED_WITHIN_NS
    }
}

impl Stops {
    /// Notes a signal that another process or a terminal sent.
    pub(super) fn note(&mut self, target: ProcessId, signal: &raw::Signal, time_ns: u64) {
        let Some(asked) = Asked::of(signal, time_ns) else {
            return;
        };
        if self.0.len() >= MOST {
            self.0.retain(|_, asked| asked.is_recent(time_ns));
        }
        if self.0.len() < MOST {
            self.0.insert(target, asked);
        }
    }

    /// A process ended, by a signal if one is given; says whether it had been asked to.
    pub(super) fn ended(&mut self, id: ProcessId, signal: Option<u32>, time_ns: u64) -> bool {
        let asked = self.0.remove(&id).filter(|asked| asked.is_recent(time_ns));
        asked.is_some_and(|asked| asked.by.is_none() || asked.by == signal)
    }
}
