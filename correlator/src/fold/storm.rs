//! Retry storms: a service that asks its callees more often per request than it does in good times.
//!
//! A service that is asked itself is measured by attempts per inbound request; one that nobody asks (a job, a user) by its
//! rate of attempts. Both are compared with their own baseline of the seconds in which nothing failed. What is tried again has
//! failed before: of a second's attempts at most as many are retries as failed, and the rest is traffic, however much it is.

mod table;

use std::collections::BTreeMap;

use bus_schema::episode::Fact;
use bus_schema::event::network::Role;
use bus_schema::{Entity, EventId};
use serde::{Deserialize, Serialize};

use super::episodes::Episodes;
use super::evicted::Evicted;
use super::seen::{Ends, Name, Seen};
use super::sighting::{Facts, Sighting};
use table::MOST_COUNTS;
pub(super) use table::Table;

const SECOND_NS: u64 = 1_000_000_000;
/// A storm is at least this many times the baseline; less is ordinary variation of load.
const LEAST_AMPLIFICATION: f64 = 1.3;
/// … and this many standard deviations of a Poisson process above it.
const LEAST_DEVIATIONS: f64 = 4.0;
/// Fewer attempts a second are no storm.
const LEAST_ATTEMPTS: f64 = 10.0;
/// Good seconds needed before there is a baseline.
const LEARNED_AFTER: u32 = 3;
/// Weight of a new second in the baseline.
const LEARNING_RATE: f64 = 0.1;
/// A baseline is forgotten when the service was silent for this long.
const FORGET_AFTER_SECONDS: u64 = 15 * 60;
/// Most services remembered; and most seconds not yet judged.
const MOST_SERVICES: usize = 50_000;

/// One second of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Second {
    /// Known once something failed: nothing else makes a storm.
    subject: Option<Entity>,
    inbound: u64,
    /// In the order of the row's statistics.
    counts: [Count; MOST_COUNTS],
    evidence: Option<EventId>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Count {
    total: u64,
    failed: u64,
    waited: u64,
}

/// Attempts per inbound request, or attempts per second, in good times.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Baseline {
    seconds: u32,
    attempts: f64,
    /// Whether somebody asks this service.
    is_asked: bool,
    /// Last second with attempts.
    last: u64,
}

/// Seconds that are not complete, and what is normal for each service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Storms {
    seconds: BTreeMap<(u64, Name), Second>,
    baselines: BTreeMap<Name, Baseline>,
    /// Second in which old baselines were last forgotten.
    forgot: u64,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

impl Storms {
    /// Adds one window: what the subject tried, or what it was asked.
    pub(super) fn add(&mut self, table: &Table, seen: &Seen<'_>) {
        let (kind, body) = (seen.event.kind(), &seen.event.body);
        match body.role() {
            Some(Role::Client) => {
                let statistics = table.attempts.iter().enumerate();
                for (place, attempts) in statistics.filter(|(_, attempts)| attempts.kind == kind) {
                    let failed = attempts.failed.iter().map(|counter| counter(body)).sum();
                    let second = self.second(seen);
                    if let Some(count) = second.counts.get_mut(place) {
                        count.total += (attempts.total)(body);
                        count.failed += failed;
                        count.waited += attempts.waited.map_or(0, |counter| counter(body));
                    }
                    second.evidence.get_or_insert(seen.event.id);
                    second.remember(failed, seen);
                }
            }
            Some(Role::Server) if table.requests.0 == kind => {
                self.second(seen).inbound += (table.requests.1)(body);
            }
            Some(Role::Server | Role::Unknown) | None => {}
        }
    }

    /// Drops what waits for its judgement.
    pub(super) fn let_go(&mut self) {
        self.forgot = 0;
        self.seconds.clear();
    }

    /// Judges every second that is complete, and learns from the good ones, which end a storm: what comes later is another.
    pub(super) fn judge(&mut self, table: &Table, now_ns: u64, episodes: &mut Episodes) {
        let complete = now_ns / SECOND_NS;
        while let Some(entry) = self
            .seconds
            .first_entry()
            .filter(|entry| entry.key().0 < complete)
        {
            let ((number, service), second) = entry.remove_entry();
            self.judge_second(table, number, service, second, episodes);
        }
        if complete >= self.forgot + 60 {
            self.forgot = complete;
            self.baselines
                .retain(|_, baseline| complete < baseline.last + FORGET_AFTER_SECONDS);
        }
    }

    fn judge_second(
        &mut self,
        table: &Table,
        number: u64,
        service: Name,
        second: Second,
        episodes: &mut Episodes,
    ) {
        let attempts = second.attempts();
        if attempts == 0 {
            return;
        }
        let baseline = self.baseline(number, service.clone(), second.inbound);
        let per = if baseline.is_asked { second.inbound } else { 1 };
        if second.has_failed() {
            let storm = baseline
                .expected(per)
                .and_then(|expected| Storm::of(&second, expected, per));
            let normal = *baseline;
            episodes.merge_all(storm.and_then(|storm| storm.sighting(table, number, second, normal)));
        } else {
            baseline.learn(attempts, per);
            let alone = Ends {
                subject: service,
                object: Name::default(),
            };
            episodes.heal(table.condition, &alone, (number + 1) * SECOND_NS);
        }
    }

    /// What is normal for a service that was asked so often in this second.
    fn baseline(&mut self, number: u64, service: Name, inbound: u64) -> &mut Baseline {
        self.evicted
            .make_room(&mut self.baselines, &service, MOST_SERVICES);
        let baseline = self.baselines.entry(service).or_default();
        if inbound > 0 && !baseline.is_asked {
            // What was learned so far is a rate, and no number of attempts per request.
            *baseline = Baseline {
                is_asked: true,
                ..Baseline::default()
            };
        }
        baseline.last = number;
        baseline
    }

    fn second(&mut self, seen: &Seen<'_>) -> &mut Second {
        let key = (
            seen.event.time_ns.saturating_sub(1) / SECOND_NS,
            seen.ends.subject.clone(),
        );
        self.evicted.make_room(&mut self.seconds, &key, MOST_SERVICES);
        self.seconds.entry(key).or_default()
    }
}

impl Second {
    /// Connections and requests count the same attempt when each request has a connection of its own. Where attempts wait for
    /// long, only those that ended in this second compare with the inbound requests that did.
    fn attempts(&self) -> u64 {
        let waited = self.counts.iter().find(|count| count.waited > 0);
        let most = self.counts.iter().map(|count| count.total).max();
        waited.map(|count| count.total).or(most).unwrap_or(0)
    }

    fn has_failed(&self) -> bool {
        self.counts.iter().any(|count| count.failed > 0)
    }

    /// Attempts that did not fail, in their connection or afterwards.
    fn succeeded(&self) -> u64 {
        let failed: u64 = self.counts.iter().map(|count| count.failed).sum();
        self.attempts().saturating_sub(failed)
    }

    fn remember(&mut self, failed: u64, seen: &Seen<'_>) {
        if failed > 0 && self.subject.is_none() {
            self.subject = Some(seen.event.subject.clone());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts per second")]
impl Baseline {
    fn learn(&mut self, attempts: u64, per: u64) {
        if per == 0 {
            return;
        }
        let ratio = attempts as f64 / per as f64;
        // The mean at first: else the first second, which is seldom a whole one, would count for most of it.
        let rate = LEARNING_RATE.max(1.0 / (f64::from(self.seconds) + 1.0));
        self.attempts += rate * (ratio - self.attempts);
        self.seconds = self.seconds.saturating_add(1);
    }

    /// Attempts that a good second with `per` requests would have; `None` while that is unknown.
    fn expected(self, per: u64) -> Option<f64> {
        (self.seconds >= LEARNED_AFTER && per > 0).then_some(self.attempts * per as f64)
    }
}

/// A second with far more attempts than a good one.
struct Storm {
    attempts_per_request: f64,
    amplification: f64,
    deviations: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts per second")]
impl Storm {
    fn of(second: &Second, expected: f64, per: u64) -> Option<Self> {
        let attempts = second.attempts() as f64;
        let expected = expected.max(second.succeeded() as f64);
        let amplification = attempts / expected.max(f64::MIN_POSITIVE);
        let deviations = (attempts - expected) / expected.max(1.0).sqrt();
        let is_storm = attempts >= LEAST_ATTEMPTS
            && amplification >= LEAST_AMPLIFICATION
            && deviations >= LEAST_DEVIATIONS;
        // Who is asked by nobody has one request in mind for each attempt of good times.
        let requests = if per > 1 { per as f64 } else { expected };
        is_storm.then_some(Self {
            attempts_per_request: attempts / requests,
            amplification,
            deviations,
        })
    }

    fn sighting(self, table: &Table, number: u64, second: Second, baseline: Baseline) -> Option<Sighting> {
        let facts = Facts::from([
            ("amplification".to_owned(), Fact::Number(self.amplification)),
            (
                "attempts_per_request".to_owned(),
                Fact::Number(self.attempts_per_request),
            ),
        ]);
        let end_ns = (number + 1) * SECOND_NS - 1;
        Some(Sighting {
            condition: table.condition,
            traits: table.traits,
            severity: table.severity,
            count: second.attempts(),
            subject: second.subject?,
            object: None,
            time_ns: end_ns,
            certain_until_ns: end_ns,
            intensity: self.amplification,
            baseline: baseline.attempts,
            surprise: self.deviations,
            is_starting: None,
            facts,
            evidence: second.evidence,
            exemplar: None,
        })
    }
}

#[cfg(test)]
mod tests;
