//! Shares of failures, per edge and second, against what is normal there.
//!
//! Statistics of one second come from several sockets, peers and observers; they are added up and judged together once
//! the watermark has passed that second.

use std::collections::BTreeMap;

use bus_schema::episode::Fact;
use bus_schema::event::Event;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::status::HttpStats;
use bus_schema::{Entity, EventId, Severity};
use serde::{Deserialize, Serialize};

use super::episodes::{Episodes, SURPRISING_BITS};
use super::sighting::{Facts, Sighting};
use crate::condition::Condition;

const SECOND_NS: u64 = 1_000_000_000;
/// Failures below this share are normal for a service of which nothing is known yet.
const FLOOR: f64 = 0.002;
/// Weight of a new window in the baseline: half of it is forgotten in about half a minute.
const LEARNING_RATE: f64 = 0.02;
/// Most seconds and entities that wait for their judgement, and most baselines.
const MOST_TALLIES: usize = 100_000;

/// Second, condition, subject, object.
type Key = (u64, Condition, String, String);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tally {
    subject: Entity,
    object: Option<Entity>,
    total: u64,
    failed: u64,
    /// Failures that single events have already counted.
    early: u64,
    /// When the last of them happened, UNIX ns.
    last_early_ns: u64,
    evidence: Option<EventId>,
}

/// Tallies of the seconds that are not complete, and the normal share of failures by condition, subject and object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ratios {
    tallies: BTreeMap<Key, Tally>,
    baselines: BTreeMap<(Condition, String, String), f64>,
}

impl Ratios {
    /// Adds one window of connection attempts.
    pub(super) fn connections(&mut self, event: &Event, stats: &EdgeStats) {
        let outcomes = [
            (Condition::ConnectRefused, stats.refused),
            (Condition::ConnectTimedOut, stats.timed_out),
            (Condition::ConnectUnreachable, stats.unreachable),
            (Condition::ConnectFailed, stats.failed_otherwise),
        ];
        for (condition, failed) in outcomes {
            self.add(condition, event, event.object.as_ref(), stats.attempts, failed);
        }
    }

    /// Adds one window of exchanges. A server's peers are judged together, a client's one by one.
    pub(super) fn exchanges(&mut self, event: &Event, stats: &HttpStats) {
        match stats.role {
            Role::Server => self.add(
                Condition::Http5xx,
                event,
                None,
                stats.total(),
                stats.server_errors(),
            ),
            Role::Client => self.add(
                Condition::Http5xxReceived,
                event,
                event.object.as_ref(),
                stats.total(),
                stats.server_errors(),
            ),
            Role::Unknown => {}
        }
    }

    /// Remembers that a single event has counted its failures before their window arrives.
    pub(super) fn count_early(&mut self, sighting: &Sighting) {
        let key = (
            sighting.time_ns / SECOND_NS,
            sighting.condition,
            sighting.subject.key(),
            sighting.object.as_ref().map(Entity::key).unwrap_or_default(),
        );
        if super::conditions::must_last(sighting.condition) {
            let tally = self.tally(key, &sighting.subject, sighting.object.as_ref());
            tally.early += sighting.count;
            tally.last_early_ns = sighting.time_ns.max(tally.last_early_ns);
        }
    }

    /// Judges every second that is complete.
    pub(super) fn judge(&mut self, now_ns: u64, episodes: &mut Episodes) {
        let complete = now_ns / SECOND_NS;
        while let Some(entry) = self
            .tallies
            .first_entry()
            .filter(|entry| entry.key().0 < complete)
        {
            let ((second, condition, subject, object), tally) = entry.remove_entry();
            let baseline = self
                .baselines
                .get(&(condition, subject.clone(), object.clone()))
                .copied()
                .unwrap_or(FLOOR);
            let surprise = surprise_bits(tally.failed, tally.total, baseline.max(FLOOR));
            let end_ns = (second + 1) * SECOND_NS;
            if tally.failed > 0 && surprise >= SURPRISING_BITS {
                episodes.merge(sighting(condition, tally, end_ns, baseline, surprise));
            } else if tally.total > 0 {
                episodes.heal(condition, &subject, &object, end_ns);
                self.learn((condition, subject, object), share(tally.failed, tally.total));
            }
        }
    }

    fn add(&mut self, condition: Condition, event: &Event, object: Option<&Entity>, total: u64, failed: u64) {
        // A window that ends on the full second speaks of the second before.
        let second = event.time_ns.saturating_sub(1) / SECOND_NS;
        let key = (
            second,
            condition,
            event.subject.key(),
            object.map(Entity::key).unwrap_or_default(),
        );
        let tally = self.tally(key, &event.subject, object);
        tally.total += total;
        tally.failed += failed;
        if failed > 0 {
            tally.evidence.get_or_insert(event.id);
        }
    }

    fn tally(&mut self, key: Key, subject: &Entity, object: Option<&Entity>) -> &mut Tally {
        if self.tallies.len() >= MOST_TALLIES && !self.tallies.contains_key(&key) {
            self.tallies.pop_first();
        }
        self.tallies.entry(key).or_insert_with(|| Tally {
            subject: subject.clone(),
            object: object.cloned(),
            total: 0,
            failed: 0,
            early: 0,
            last_early_ns: 0,
            evidence: None,
        })
    }

    fn learn(&mut self, key: (Condition, String, String), share: f64) {
        if self.baselines.len() >= MOST_TALLIES && !self.baselines.contains_key(&key) {
            self.baselines.pop_first();
        }
        let baseline = self.baselines.entry(key).or_insert(share);
        *baseline += LEARNING_RATE * (share - *baseline);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts per second")]
fn share(failed: u64, total: u64) -> f64 {
    failed as f64 / total.max(1) as f64
}

/// When most requests fail, users cannot work.
const MOST: f64 = 0.5;

fn sighting(condition: Condition, tally: Tally, end_ns: u64, baseline: f64, surprise: f64) -> Sighting {
    let ratio = share(tally.failed, tally.total);
    let severity = if condition == Condition::Http5xx && ratio >= MOST {
        Severity::Critical
    } else {
        Severity::Warning
    };
    Sighting {
        condition,
        severity,
        subject: tally.subject,
        object: tally.object,
        // Within its second only the single events know when.
        time_ns: if tally.early > 0 {
            tally.last_early_ns
        } else {
            end_ns - 1
        },
        count: tally.failed.saturating_sub(tally.early),
        intensity: ratio,
        baseline,
        surprise,
        facts: Facts::from([("ratio".to_owned(), Fact::Number(ratio))]),
        evidence: tally.evidence,
    }
}

/// How improbable at least `failed` of `total` are when each fails with probability `normal`: the Chernoff bound
/// `total × KL(failed/total ‖ normal)`, in bits; 0 when no more fail than normal.
#[expect(clippy::cast_precision_loss, reason = "counts per second")]
fn surprise_bits(failed: u64, total: u64, normal: f64) -> f64 {
    let total = total.max(failed) as f64;
    let p = failed as f64 / total.max(1.0);
    if p <= normal {
        return 0.0;
    }
    let term = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).log2() };
    total * (term(p, normal) + term(1.0 - p, 1.0 - normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprise_counts_how_much_and_how_many() {
        assert!(surprise_bits(0, 100, 0.01).abs() < 1e-9);
        assert!(surprise_bits(1, 100, 0.01).abs() < 1e-9);
        assert!(
            surprise_bits(4, 200, FLOOR) < SURPRISING_BITS,
            "a restart of 20 ms at 200 requests/s"
        );
        assert!(
            surprise_bits(3, 3, FLOOR) > SURPRISING_BITS,
            "three of three, however few"
        );
        assert!(surprise_bits(190, 200, FLOOR) > 1000.0);
        assert!(
            surprise_bits(12, 100, 0.1) < 1.0,
            "a service that always fails every tenth request"
        );
    }
}
