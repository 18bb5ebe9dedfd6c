//! Exchanges that go on for long: they are told while they do, since nobody may ever give them up.

use ebpf::raw::SumKey;

const SECOND_NS: u64 = 1_000_000_000;
/// Who waits longer than this is no user, and may be a connection that was forgotten.
const LONGEST_NS: u64 = 3600 * SECOND_NS;

/// An exchange has waited for so long that it is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whose it is.
    pub key: SumKey,
    /// Up to now, ns.
    pub waited_ns: u64,
}

/// When they were last looked at, `CLOCK_MONOTONIC`, ns.
#[derive(Debug, Default)]
pub struct Waits {
    looked_ns: u64,
}

impl Waits {
    /// Before which exchanges are of no interest any more, `CLOCK_MONOTONIC`, ns.
    pub fn forget_before_ns(now_ns: u64) -> u64 {
        now_ns.saturating_sub(LONGEST_NS)
    }

    /// Those that are to be told at `now_ns`, of all that are under way by when they began.
    pub fn told(&mut self, under_way: Vec<(SumKey, u64)>, now_ns: u64) -> Vec<Wait> {
        let looked_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        let all = under_way.into_iter();
        let told = all.filter(|(_, since_ns)| mark(looked_ns, *since_ns) < mark(now_ns, *since_ns));
        told.map(|(key, since_ns)| Wait {
            key,
            waited_ns: now_ns.saturating_sub(since_ns),
        })
        .collect()
    }
}

/// How often what began then is to be told until `now_ns`: after a second, and every eight seconds more.
fn mark(now_ns: u64, since_ns: u64) -> u64 {
    (now_ns.saturating_sub(since_ns) + 7 * SECOND_NS) / (8 * SECOND_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_schema::event::network::Role;

    fn key() -> SumKey {
        SumKey {
            cgroup_id: 7,
            second: 0,
            netns: 9,
            role: Role::Client as u16,
            health_check: 0,
            is_query: 0,
            outcome: 0,
            peer: [0; 4],
            port: 80,
            route: 0,
            comm: [0; 16],
        }
    }

    #[test]
    fn a_wait_is_told_after_a_second_and_every_eight_seconds_more() {
        let mut waits = Waits::default();
        let began_ns = 100 * SECOND_NS + 1;
        let at = (100..120).filter(|second| {
            let told = waits.told(vec![(key(), began_ns)], second * SECOND_NS);
            let waited: Vec<u64> = told.iter().map(|wait| wait.waited_ns).collect();
            assert!(waited.is_empty() || waited == [second * SECOND_NS - began_ns]);
            !waited.is_empty()
        });
        assert_eq!(at.collect::<Vec<_>>(), [102, 110, 118]);
    }

    #[test]
    fn what_is_answered_in_a_second_is_never_told() {
        let mut waits = Waits::default();
        for tenth in 0..100 {
            let now_ns = tenth * SECOND_NS / 10;
            let began_ns = now_ns.saturating_sub(9 * SECOND_NS / 10);
            assert_eq!(waits.told(vec![(key(), began_ns)], now_ns), []);
        }
    }
}
