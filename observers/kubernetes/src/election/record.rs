//! What a candidate knows of the lease, and what it does next.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::Leadership;

/// A change that the former leader was told a little later than this replica: it may have died in between.
const MARGIN_NS: u64 = 1_000_000_000;

/// What to do about the lease as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Somebody else holds it.
    Wait,
    /// Renew it, or take it over.
    Take {
        /// See [`Leadership::Leading`].
        unattended_since_ns: u64,
    },
}

/// One candidate's view. Times called `now_ns` are of a clock that never jumps; `unix_ns` is for people and events.
#[derive(Debug)]
pub(super) struct Record {
    identity: String,
    duration: Duration,
    /// The record as last read, and since when it has been like that by both clocks.
    seen: Option<(LeaseSpec, u64, u64)>,
    /// Until when this replica may lead.
    leads_until_ns: u64,
    unattended_since_ns: u64,
}

impl Record {
    pub(super) fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            duration,
            seen: None,
            leads_until_ns: 0,
            unattended_since_ns: 0,
        }
    }

    /// Takes note of the lease as read at `now_ns`.
    pub(super) fn consider(&mut self, lease: &LeaseSpec, now_ns: u64, unix_ns: u64) -> Move {
        if self.seen.as_ref().is_none_or(|(seen, ..)| seen != lease) {
            self.seen = Some((lease.clone(), now_ns, unix_ns));
        }
        let (unchanged_ns, since_ns) = self.seen.as_ref().map_or((0, 0), |(_, seen_ns, seen_unix_ns)| {
            (now_ns.saturating_sub(*seen_ns), *seen_unix_ns)
        });
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        let seconds = u64::try_from(lease.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        let is_over = unchanged_ns >= seconds * 1_000_000_000;
        if holder == self.identity {
            Move::Take {
                unattended_since_ns: self.unattended_since_ns,
            }
        } else if holder.is_empty() || is_over {
            Move::Take {
                unattended_since_ns: since_ns.saturating_sub(MARGIN_NS),
            }
        } else {
            Move::Wait
        }
    }

    /// The lease to write at `unix_ns`, over `former`.
    pub(super) fn spec(&self, former: Option<&LeaseSpec>, unix_ns: u64) -> LeaseSpec {
        let now = Timestamp::from_nanosecond(i128::from(unix_ns))
            .ok()
            .map(MicroTime);
        let renewed = former.filter(|former| former.holder_identity.as_ref() == Some(&self.identity));
        let transitions = former.and_then(|former| former.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: renewed.map_or_else(|| now.clone(), |former| former.acquire_time.clone()),
            renew_time: now.clone(),
            lease_transitions: Some(if renewed.is_some() || former.is_none() {
                transitions
            } else {
                transitions + 1
            }),
            ..LeaseSpec::default()
        }
    }

    /// The server has written `lease`, which was asked for at `asked_ns`.
    pub(super) fn holds(&mut self, lease: LeaseSpec, asked_ns: u64, unattended_since_ns: u64) {
        self.seen = Some((lease, asked_ns, 0));
        self.leads_until_ns = asked_ns + nanoseconds(self.duration);
        self.unattended_since_ns = unattended_since_ns;
    }

    /// Whether this replica leads at `now_ns`.
    pub(super) fn leadership(&self, now_ns: u64) -> Leadership {
        if now_ns < self.leads_until_ns {
            Leadership::Leading {
                unattended_since_ns: self.unattended_since_ns,
            }
        } else {
            Leadership::Standby
        }
    }

    /// The lease without a holder; `None` when somebody else holds it.
    pub(super) fn released(&self, former: &LeaseSpec) -> Option<LeaseSpec> {
        (former.holder_identity.as_ref() == Some(&self.identity)).then(|| LeaseSpec {
            holder_identity: None,
            ..former.clone()
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn candidate(name: &str) -> Record {
        Record::new(name.into(), Duration::from_secs(10))
    }

    #[test]
    fn a_lease_that_is_renewed_is_left_alone_and_one_that_is_not_is_taken() {
        let (a, mut b) = (candidate("a"), candidate("b"));
        let first = a.spec(None, 5);
        assert_eq!(b.consider(&first, 100 * SECOND_NS, 0), Move::Wait);
        let renewed = a.spec(Some(&first), 6_000);
        assert_eq!(b.consider(&renewed, 109 * SECOND_NS, 50 * SECOND_NS), Move::Wait);
        assert_eq!(b.consider(&renewed, 118 * SECOND_NS, 59 * SECOND_NS), Move::Wait);
        let unattended_since_ns = 49 * SECOND_NS;
        assert_eq!(
            b.consider(&renewed, 119 * SECOND_NS, 60 * SECOND_NS),
            Move::Take { unattended_since_ns }
        );
        let taken = b.spec(Some(&renewed), 60 * SECOND_NS);
        assert_eq!(
            (taken.holder_identity.as_deref(), taken.lease_transitions),
            (Some("b"), Some(1))
        );
    }

    #[test]
    fn a_lease_that_was_given_back_is_free_at_once() {
        let (a, mut b) = (candidate("a"), candidate("b"));
        let held = a.spec(None, 5);
        assert_eq!(b.consider(&held, 0, 0), Move::Wait);
        assert_eq!(b.released(&held), None);
        let free = a.released(&held).unwrap();
        assert!(matches!(b.consider(&free, 1, 1), Move::Take { .. }));
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_leading_by_itself() {
        let mut a = candidate("a");
        let lease = a.spec(None, 5);
        a.holds(lease, SECOND_NS, 0);
        assert!(matches!(a.leadership(10 * SECOND_NS), Leadership::Leading { .. }));
        assert_eq!(a.leadership(11 * SECOND_NS), Leadership::Standby);
    }
}
