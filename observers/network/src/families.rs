//! Two ways to one place: a name that has addresses of both families is tried at one after the other, and who was refused at
//! `::1` and connected to `127.0.0.1` has lost nothing.
//!
//! Of a second's attempts of one client at one port those that failed at one family were made good when as many succeeded at the
//! other. Whether they were is known at the end of the second, so a failure that may yet be made good is told then: at IPv6,
//! which is tried first, and wherever this client has just been seen to use the other family.

use std::collections::HashMap;

use ebpf::raw::{self, ConnectFailed, Edge, SumKey};

/// A client that used a family within this time may use it again, seconds.
const REMEMBERED_SECONDS: u32 = 60;
/// Most failures that wait for the end of their second; and most uses remembered.
const MOST: usize = 1024;

/// Who connects to which port by which family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    cgroup_id: u64,
    comm: [u8; 16],
    netns: u32,
    port: u32,
    is_v6: bool,
}

impl Way {
    fn of_row(key: &SumKey) -> Self {
        Self {
            cgroup_id: key.cgroup_id,
            comm: key.comm,
            netns: key.netns,
            port: key.port,
            is_v6: raw::address(key.peer).is_ipv6(),
        }
    }

    fn of_failure(failed: &ConnectFailed) -> Self {
        Self {
            cgroup_id: failed.task.cgroup_id,
            comm: failed.task.comm,
            netns: failed.netns,
            port: failed.peer_port,
            is_v6: raw::address(failed.peer).is_ipv6(),
        }
    }

    fn other(self) -> Self {
        Self {
            is_v6: !self.is_v6,
            ..self
        }
    }
}

/// Failures that may yet be made good, and who uses which family.
#[derive(Debug, Default)]
pub struct Families {
    /// With the UNIX second in which each happened, modulo 2^32 as in a row.
    held: Vec<(u32, ConnectFailed)>,
    /// The last second in which each way led somewhere.
    used: HashMap<Way, u32>,
}

impl Families {
    /// Takes a failure of that UNIX second (modulo 2^32); gives it back where nothing can make it good any more.
    pub fn hold(&mut self, failed: &ConnectFailed, second: u32) -> Option<ConnectFailed> {
        let way = Way::of_failure(failed);
        let may_be_made_good = way.is_v6 || self.used.contains_key(&way.other());
        if !may_be_made_good || self.held.len() >= MOST {
            return Some(*failed);
        }
        self.held.push((second, *failed));
        None
    }

    /// Takes out of the sums of complete seconds what was made good; gives the failures that were not. `running` is the
    /// second that is not complete, `None` when there is none.
    pub fn settle(&mut self, drained: &mut Vec<(SumKey, Edge)>, running: Option<u32>) -> Vec<ConnectFailed> {
        let counts = Counts::of(drained);
        drained.retain(|(key, _)| !is_failure(key) || !counts.made_good(key.second, Way::of_row(key)));
        let is_complete = |second: u32| running.is_none_or(|running| second < running);
        let held = std::mem::take(&mut self.held);
        let (complete, waiting) = held.into_iter().partition(|(second, _)| is_complete(*second));
        self.held = waiting;
        self.remember(&counts);
        let complete: Vec<(u32, ConnectFailed)> = complete;
        let told = complete
            .into_iter()
            .filter(|(second, failed)| !counts.made_good(*second, Way::of_failure(failed)));
        told.map(|(_, failed)| failed).collect()
    }

    fn remember(&mut self, counts: &Counts) {
        for ((second, way), (succeeded, _)) in &counts.0 {
            if *succeeded > 0 && (self.used.len() < MOST || self.used.contains_key(way)) {
                self.used.insert(*way, *second);
            }
        }
        let newest = self.used.values().max().copied().unwrap_or(0);
        self.used
            .retain(|_, second| newest < *second + REMEMBERED_SECONDS);
    }
}

/// How many attempts of a client succeeded and failed, by second and way.
struct Counts(HashMap<(u32, Way), (u64, u64)>);

impl Counts {
    fn of(drained: &[(SumKey, Edge)]) -> Self {
        let mut counts: HashMap<(u32, Way), (u64, u64)> = HashMap::new();
        let clients = drained
            .iter()
            .filter(|(key, _)| key.role == raw::Role::Client as u16);
        for (key, edge) in clients {
            let (succeeded, failed) = counts.entry((key.second, Way::of_row(key))).or_default();
            *(if key.outcome == 0 { succeeded } else { failed }) += edge.count;
        }
        Self(counts)
    }

    /// Whether as many succeeded by the other family as failed by this one; the last may have done so in the next second.
    fn made_good(&self, second: u32, way: Way) -> bool {
        let of = |way| self.0.get(&(second, way)).copied().unwrap_or_default();
        let ((_, failed), (succeeded, _)) = (of(way), of(way.other()));
        succeeded > 0 && succeeded + 1 >= failed
    }
}

fn is_failure(key: &SumKey) -> bool {
    key.role == raw::Role::Client as u16 && key.outcome != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: u32 = 111;
    const V4: [u32; 4] = [0, 0, u32::from_be_bytes([0, 0, 0xff, 0xff]).to_be(), 0x0100_007f];
    const V6: [u32; 4] = [0, 0, 0, u32::from_be_bytes([1, 0, 0, 0])];

    fn row(peer: [u32; 4], port: u32, outcome: u32, count: u64) -> (SumKey, Edge) {
        let key = SumKey {
            role: raw::Role::Client as u16,
            peer,
            port,
            cgroup_id: 7,
            second: 8,
            netns: 9,
            outcome,
            health_check: 0,
            is_query: 0,
            route: 0,
            comm: *b"job\0\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        let edge = Edge {
            count,
            latency_sum_ns: 0,
            closed: 0,
            bytes_sent: 0,
            bytes_received: 0,
            retransmits: 0,
            segments: 0,
            reset: 0,
            aborted: 0,
            unacknowledged: 0,
        };
        (key, edge)
    }

    fn failure(peer: [u32; 4], port: u32) -> ConnectFailed {
        ConnectFailed {
            head: raw::Head {
                kind: 1,
                size: 96,
                time_ns: 1,
            },
            task: raw::Task {
                start_ns: 1,
                cgroup_id: 7,
                tgid: 3,
                tid: 3,
                comm: *b"job\0\0\0\0\0\0\0\0\0\0\0\0\0",
            },
            peer,
            peer_port: port,
            local_port: 4711,
            error: REFUSED,
            netns: 9,
            waited_ns: 1,
        }
    }

    /// How many rows of failures and how many failures are told of a second.
    fn told(families: &mut Families, rows: &[(SumKey, Edge)]) -> (usize, usize) {
        let mut drained = rows.to_vec();
        let failures = families.settle(&mut drained, Some(9)).len();
        (
            drained.iter().filter(|(key, _)| is_failure(key)).count(),
            failures,
        )
    }

    #[test]
    fn the_addresses_are_of_the_families_that_they_are_named_by() {
        assert_eq!(raw::address(V4).to_string(), "127.0.0.1");
        assert_eq!(raw::address(V6).to_string(), "::1");
    }

    #[test]
    fn what_succeeds_by_the_other_family_is_made_good_and_what_fails_by_both_is_not() {
        let mut families = Families::default();
        for (succeeded, expected) in [(10, (0, 0)), (9, (0, 0)), (5, (1, 1)), (0, (1, 1))] {
            assert!(families.hold(&failure(V6, 80), 8).is_none());
            let rows = [row(V6, 80, REFUSED, 10), row(V4, 80, 0, succeeded)];
            assert_eq!(
                told(&mut families, &rows),
                expected,
                "{succeeded} of 10 succeeded"
            );
        }
    }

    #[test]
    fn another_port_or_another_address_of_the_same_family_makes_nothing_good() {
        let mut families = Families::default();
        families.hold(&failure(V6, 80), 8);
        assert_eq!(
            told(&mut families, &[row(V6, 80, REFUSED, 9), row(V4, 81, 0, 9)]),
            (1, 1)
        );
        assert!(
            families.hold(&failure(V4, 82), 8).is_some(),
            "nothing is waited for"
        );
        let mut other = row(V4, 82, 0, 9);
        other.0.peer[3] = 0x0200_007f;
        assert_eq!(told(&mut families, &[row(V4, 82, REFUSED, 9), other]), (1, 0));
    }

    #[test]
    fn who_uses_both_families_may_try_either_first() {
        let mut families = Families::default();
        assert_eq!(told(&mut families, &[row(V6, 80, 0, 9)]), (0, 0));
        assert!(families.hold(&failure(V4, 80), 8).is_none());
        assert_eq!(
            told(&mut families, &[row(V4, 80, REFUSED, 9), row(V6, 80, 0, 9)]),
            (0, 0)
        );
    }

    #[test]
    fn a_failure_waits_for_the_end_of_its_second() {
        let mut families = Families::default();
        families.hold(&failure(V6, 80), 9);
        assert_eq!(families.settle(&mut Vec::new(), Some(9)), []);
        assert_eq!(families.settle(&mut Vec::new(), None).len(), 1);
    }
}
