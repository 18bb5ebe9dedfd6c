//! What really happened to each service, before a fault and during it: what a truth is made of.

use super::arena::Arena;
use super::numbers::{real, seconds};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Refused,
    TimedOut,
    Unanswered,
    /// The answer says that it failed.
    Received,
}

impl Sort {
    pub(super) const ALL: [Self; 4] = [Self::Refused, Self::TimedOut, Self::Unanswered, Self::Received];

    /// Name of what an observer of the caller tells.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Refused => "connect_refused",
            Self::TimedOut => "connect_timed_out",
            Self::Unanswered => "http_unanswered",
            Self::Received => "http_5xx_received",
        }
    }
}

/// Sums of one service over one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) served: u64,
    pub(super) errors: u64,
    pub(super) served_seconds: f64,
    pub(super) calls: u64,
    pub(super) failed: [u64; Sort::ALL.len()],
    pub(super) call_seconds: f64,
}

impl Tally {
    pub(super) fn share(part: u64, of: u64) -> f64 {
        real(part) / real(of.max(1))
    }

    /// Mean time of an answer, seconds.
    pub(super) fn mean_seconds(&self) -> f64 {
        self.served_seconds / real(self.served.max(1))
    }

    /// Mean time until a call was over, seconds.
    pub(super) fn mean_call_seconds(&self) -> f64 {
        self.call_seconds / real(self.calls.max(1))
    }

    pub(super) fn failures(&self, sort: Sort) -> u64 {
        self.failed.get(sort as usize).copied().unwrap_or_default()
    }
}

/// Before and during.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    pub(super) before: Tally,
    pub(super) during: Tally,
}

/// Of all services, and of the users.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies {
    pub(super) services: Arena<Pair>,
    /// When the fault begins and when it is undone, ns; nothing where there is none.
    window_ns: Option<(u64, u64)>,
    pub(super) users: usize,
    pub(super) users_failed: usize,
    pub(super) users_first_ns: Option<u64>,
}

impl Tallies {
    pub(super) fn of(services: usize) -> Self {
        Self {
            services: (0..services).map(|_| Pair::default()).collect(),
            ..Self::default()
        }
    }

    /// From when to when there is a fault, ns.
    pub(super) fn watch(&mut self, from_ns: u64, until_ns: u64) {
        self.window_ns = Some((from_ns, until_ns));
    }

    fn tally(&mut self, now_ns: u64, service: usize) -> Option<&mut Tally> {
        let (from_ns, until_ns) = self.window_ns?;
        let pair = &mut self.services[service];
        if now_ns < from_ns {
            Some(&mut pair.before)
        } else {
            (now_ns < until_ns).then_some(&mut pair.during)
        }
    }

    pub(super) fn served(&mut self, now_ns: u64, service: usize, status: u16, latency_ns: u64) {
        if let Some(tally) = self.tally(now_ns, service) {
            tally.served += 1;
            tally.errors += u64::from(status >= 500);
            tally.served_seconds += seconds(latency_ns);
        }
    }

    pub(super) fn called(&mut self, now_ns: u64, service: usize, failure: Option<Sort>, latency_ns: u64) {
        if let Some(tally) = self.tally(now_ns, service) {
            tally.calls += 1;
            tally.call_seconds += seconds(latency_ns);
            if let Some(count) = failure.and_then(|sort| tally.failed.get_mut(sort as usize)) {
                *count += 1;
            }
        }
    }

    pub(super) fn user(&mut self, now_ns: u64, status: u16) {
        let is_within = self
            .window_ns
            .is_some_and(|(from_ns, until_ns)| (from_ns..until_ns).contains(&now_ns));
        if !is_within {
            return;
        }
        self.users += 1;
        if status >= 500 {
            self.users_failed += 1;
            self.users_first_ns.get_or_insert(now_ns);
        }
    }
}
