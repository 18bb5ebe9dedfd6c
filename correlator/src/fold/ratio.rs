//! Shares of failures, per edge and second, against what is normal there.
//!
//! Statistics of one second come from several sockets, peers and observers; they are added up and judged together once
//! the watermark has passed that second.

use std::collections::BTreeMap;

use bus_schema::episode::Fact;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::status::HttpStats;
use bus_schema::{Entity, EventId, Severity};
use serde::{Deserialize, Serialize};

use super::episodes::Episodes;
use super::evicted::Evicted;
use super::evidence::{Evidence, SURPRISING_BITS, share};
use super::seen::{Ends, Name, Seen};
use super::sighting::{Facts, Sighting};
use crate::condition::Condition;

const SECOND_NS: u64 = 1_000_000_000;
/// Failures below this share are normal for a service of which nothing is known yet.
const FLOOR: f64 = 0.002;
/// Weight of a new window in the baseline: half of it is forgotten in about half a minute.
const LEARNING_RATE: f64 = 0.02;
/// What is normal is forgotten when there was no traffic for this long; ports that nobody uses again would stay for ever.
const FORGET_AFTER_SECONDS: u64 = 15 * 60;
/// Most seconds and entities that wait for their judgement, and most baselines.
const MOST_TALLIES: usize = 100_000;

/// What is counted in one table, because it has one total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Traffic {
    Connecting,
    Serving,
    Asking,
}

/// Most ways in which one kind of traffic fails.
const MOST_WAYS: usize = 4;

impl Traffic {
    const ALL: [Self; 3] = [Self::Connecting, Self::Serving, Self::Asking];

    /// The ways in which it fails.
    fn ways(self) -> &'static [Condition] {
        match self {
            Self::Connecting => &[
                Condition::ConnectRefused,
                Condition::ConnectTimedOut,
                Condition::ConnectUnreachable,
                Condition::ConnectFailed,
            ],
            Self::Serving => &[Condition::Http5xx],
            Self::Asking => &[Condition::Http5xxReceived, Condition::HttpUnanswered],
        }
    }

    /// The traffic that fails in this way, and the place of that way.
    fn failing_by(condition: Condition) -> Option<(Self, usize)> {
        Self::ALL.into_iter().find_map(|traffic| {
            let place = traffic.ways().iter().position(|way| *way == condition)?;
            Some((traffic, place))
        })
    }
}

/// Second, traffic, subject and object.
type Key = (u64, Traffic, Ends);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tally {
    total: u64,
    /// One for each way to fail.
    outcomes: [Outcome; MOST_WAYS],
    /// Subject and object; known once something failed.
    ends: Option<(Entity, Option<Entity>)>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Outcome {
    failed: u64,
    /// Failures that single events have already counted.
    early: u64,
    /// When the last of them happened, UNIX ns.
    last_early_ns: u64,
    evidence: Option<EventId>,
}

/// Tallies of the seconds that are not complete, and the normal share of failures by traffic, subject and object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ratios {
    tallies: BTreeMap<Key, Tally>,
    baselines: BTreeMap<(Traffic, Ends), Normal>,
    /// Second in which old baselines were last forgotten.
    forgot: u64,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

/// The normal share of each way to fail, `None` where nothing was learned yet; and what speaks for a change of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Normal {
    ways: [(Option<f64>, Evidence); MOST_WAYS],
    /// Last second with traffic.
    last: u64,
}

impl Ratios {
    /// Adds one window of connection attempts.
    pub(super) fn connections(&mut self, seen: &Seen<'_>, stats: &EdgeStats) {
        let failed = [
            stats.refused,
            stats.timed_out,
            stats.unreachable,
            stats.failed_otherwise,
        ];
        self.add(Traffic::Connecting, seen, stats.attempts, &failed);
    }

    /// Adds one window of exchanges. A server's peers are judged together, a client's one by one.
    pub(super) fn exchanges(&mut self, seen: &Seen<'_>, stats: &HttpStats) {
        let traffic = match stats.role {
            Role::Server => Traffic::Serving,
            Role::Client => Traffic::Asking,
            Role::Unknown => return,
        };
        let failed = [stats.server_errors(), stats.unanswered.total()];
        self.add(traffic, seen, stats.requests(), &failed);
    }

    /// Remembers that a single event has counted its failures before their window arrives.
    pub(super) fn count_early(&mut self, sighting: &Sighting) {
        let Some((traffic, place)) = Traffic::failing_by(sighting.condition) else {
            return;
        };
        let ends = Ends {
            subject: sighting.subject.key().into(),
            object: Name::of(sighting.object.as_ref()),
        };
        let second = sighting.time_ns / SECOND_NS;
        let tally = self.tally((second, traffic, ends));
        if let Some(outcome) = tally.outcomes.get_mut(place) {
            outcome.early += sighting.count;
            outcome.last_early_ns = sighting.time_ns.max(outcome.last_early_ns);
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
            let (key, tally) = entry.remove_entry();
            self.judge_one(key, &tally, episodes);
        }
        self.forget(complete);
    }

    fn judge_one(&mut self, (second, traffic, ends): Key, tally: &Tally, episodes: &mut Episodes) {
        let end_ns = (second + 1) * SECOND_NS;
        let normal = self.normal((traffic, ends.clone()));
        normal.last = second;
        let ways = normal.ways.iter_mut();
        for ((condition, outcome), (normal, evidence)) in traffic.ways().iter().zip(&tally.outcomes).zip(ways)
        {
            if tally.total == 0 && outcome.failed == 0 {
                continue;
            }
            let baseline = normal.unwrap_or(FLOOR);
            let surprise = evidence.add(outcome.failed, tally.total, baseline.max(FLOOR));
            let share = share(outcome.failed, tally.total);
            // What has never worked may still be starting: there, windows that tell little do not add up.
            if normal.is_none() {
                *evidence = Evidence::default();
            }
            if outcome.failed > 0 && surprise >= SURPRISING_BITS {
                let seen = sighting(*condition, tally, outcome, end_ns, baseline, surprise);
                let is_starting = Some(normal.is_none());
                episodes.merge_all(seen.map(|seen| Sighting { is_starting, ..seen }));
            } else if share <= baseline.max(FLOOR) {
                episodes.heal(*condition, &ends, end_ns);
            }
            // What may be a change is not learned as normal.
            if evidence.is_empty() && (normal.is_some() || share <= FLOOR) {
                let baseline = normal.get_or_insert(share);
                *baseline += LEARNING_RATE * (share - *baseline);
            }
        }
    }

    fn add(&mut self, traffic: Traffic, seen: &Seen<'_>, total: u64, failed: &[u64]) {
        let event = seen.event;
        // A window that ends on the full second speaks of the second before.
        let second = event.time_ns.saturating_sub(1) / SECOND_NS;
        let has_object = traffic != Traffic::Serving;
        let mut ends = seen.ends.clone();
        if !has_object {
            ends.object = Name::default();
        }
        let tally = self.tally((second, traffic, ends));
        tally.total += total;
        for (outcome, failed) in tally.outcomes.iter_mut().zip(failed) {
            outcome.failed += failed;
            if *failed > 0 {
                outcome.evidence.get_or_insert(event.id);
                tally.ends.get_or_insert_with(|| {
                    (event.subject.clone(), event.object.clone().filter(|_| has_object))
                });
            }
        }
    }

    fn tally(&mut self, key: Key) -> &mut Tally {
        self.evicted.make_room(&mut self.tallies, &key, MOST_TALLIES);
        self.tallies.entry(key).or_default()
    }

    fn normal(&mut self, key: (Traffic, Ends)) -> &mut Normal {
        self.evicted.make_room(&mut self.baselines, &key, MOST_TALLIES);
        self.baselines.entry(key).or_default()
    }

    /// Drops what had no traffic for long, once a minute.
    fn forget(&mut self, second: u64) {
        if second >= self.forgot + 60 {
            self.forgot = second;
            self.baselines
                .retain(|_, normal| second < normal.last + FORGET_AFTER_SECONDS);
        }
    }
}

/// When most requests fail, users cannot work.
const MOST: f64 = 0.5;

fn sighting(
    condition: Condition,
    tally: &Tally,
    outcome: &Outcome,
    end_ns: u64,
    baseline: f64,
    surprise: f64,
) -> Option<Sighting> {
    let (subject, object) = tally.ends.clone()?;
    let ratio = share(outcome.failed, tally.total);
    let severity = if condition == Condition::Http5xx && ratio >= MOST {
        Severity::Critical
    } else {
        Severity::Warning
    };
    // When within its second the last one was only single events know, and not every failure has one. Without a pause between
    // them they took their share of it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a second"
    )]
    let healthy_ns = ((1.0 - ratio) * SECOND_NS as f64) as u64;
    let certain_until_ns = outcome.last_early_ns.max(end_ns - 1 - healthy_ns);
    let time_ns = if outcome.early > 0 {
        certain_until_ns
    } else {
        end_ns - 1
    };
    Some(Sighting {
        condition,
        severity,
        subject,
        object,
        time_ns,
        certain_until_ns,
        count: outcome.failed.saturating_sub(outcome.early),
        intensity: ratio,
        baseline,
        surprise,
        is_starting: None,
        facts: Facts::from([("ratio".to_owned(), Fact::Number(ratio))]),
        evidence: outcome.evidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_without_traffic_is_forgotten_and_one_with_traffic_is_not() {
        let (mut ratios, mut episodes) = (Ratios::default(), Episodes::default());
        let healthy = Tally {
            total: 10,
            ..Tally::default()
        };
        let edge = |second: u64, name: &str| {
            let ends = Ends {
                subject: Name::from(name.to_owned()),
                object: Name::default(),
            };
            (second, Traffic::Connecting, ends)
        };
        ratios.tallies.insert(edge(1, "once"), healthy.clone());
        for second in 1..=2 * FORGET_AFTER_SECONDS {
            ratios.tallies.insert(edge(second, "always"), healthy.clone());
            ratios.judge((second + 1) * SECOND_NS, &mut episodes);
            let expected = if second < FORGET_AFTER_SECONDS { 2 } else { 1 };
            let is_due = (second + 1).is_multiple_of(60);
            assert!(!is_due || ratios.baselines.len() == expected, "second {second}");
        }
    }
}
