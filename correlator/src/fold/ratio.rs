//! Shares of failures and of high values, per edge and second, against what is normal there.
//!
//! Statistics of one second come from several sockets, peers and observers; they are added up and judged together once
//! the watermark has passed that second.

mod high;
mod normal;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use bus_schema::episode::Fact;
use bus_schema::{Entity, EventId};
use serde::{Deserialize, Serialize};

use super::episodes::Episodes;
use super::evicted::Evicted;
use super::evidence::share;
use super::seen::{Ends, Name, Seen};
use super::sighting::{Facts, Sighting, WAITED_SECONDS};
use crate::condition::Condition;
use high::add_buckets;
use normal::Normal;
pub(super) use table::Table;
use table::{Way, Ways};

const SECOND_NS: u64 = 1_000_000_000;
/// What is normal is forgotten when there was no traffic for this long; ports that nobody uses again would stay for ever.
const FORGET_AFTER_SECONDS: u64 = 15 * 60;
/// Most seconds and entities that wait for their judgement, and most baselines.
const MOST_TALLIES: usize = 100_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tally {
    total: u64,
    /// One for each way to fail; none while nothing did.
    outcomes: Vec<Outcome>,
    /// Subject and object; known once something failed.
    ends: Option<(Entity, Option<Entity>)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Outcome {
    failed: u64,
    /// Failures that single events have already counted.
    early: u64,
    /// When the last of them happened, UNIX ns.
    last_early_ns: u64,
    evidence: Option<EventId>,
    /// What may be high, by bucket from [`High::from`].
    high: Vec<u64>,
    /// How long those have waited at least that wait on.
    waiting_ns: Option<u64>,
}

/// Tallies of the seconds that are not complete, and the normal share of failures by subject and object, of each traffic.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ratios {
    traffics: Vec<Traffic>,
    /// Second in which old baselines were last forgotten.
    forgot: u64,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

/// What was counted of one kind of traffic.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Traffic {
    /// The conditions whose places the outcomes have.
    ways: Vec<Condition>,
    tallies: BTreeMap<(u64, Ends), Tally>,
    baselines: BTreeMap<Ends, Normal>,
}

impl Ratios {
    /// Brings what was counted in the order of the table; what it does not have any more, or in another way, is counted anew.
    pub(super) fn arrange(&mut self, table: &Table) {
        let mut known = std::mem::take(&mut self.traffics);
        self.traffics = table
            .0
            .iter()
            .map(|row| {
                let ways: Vec<_> = row.failing.iter().map(|way| way.condition).collect();
                let place = known.iter().position(|traffic| traffic.ways == ways);
                place.map_or_else(
                    || Traffic {
                        ways: ways.clone(),
                        ..Traffic::default()
                    },
                    |place| known.swap_remove(place),
                )
            })
            .collect();
    }

    /// Adds one window.
    pub(super) fn add(&mut self, table: &Table, seen: &Seen<'_>) {
        let (kind, role) = (seen.event.kind(), seen.event.body.role());
        for (row, traffic) in table.0.iter().zip(&mut self.traffics) {
            if row.kind == kind && Some(row.role) == role {
                traffic.add(row, seen, &mut self.evicted);
            }
        }
    }

    /// Whether it is a failure where most fail normally.
    pub(super) fn is_usual(&self, sighting: &Sighting) -> bool {
        let ends = Ends {
            subject: sighting.subject.key().into(),
            object: Name::of(sighting.object.as_ref()),
        };
        self.traffics.iter().any(|traffic| {
            let place = traffic.ways.iter().position(|way| *way == sighting.condition);
            let normal = traffic.baselines.get(&ends);
            place
                .zip(normal)
                .is_some_and(|(place, normal)| normal.is_usual(place))
        })
    }

    /// Remembers that a single event has counted its failures before their window arrives.
    pub(super) fn count_early(&mut self, sighting: &Sighting) {
        let found = self.traffics.iter_mut().find_map(|traffic| {
            let place = traffic.ways.iter().position(|way| *way == sighting.condition)?;
            Some((traffic, place))
        });
        let Some((traffic, place)) = found else { return };
        let ends = Ends {
            subject: sighting.subject.key().into(),
            object: Name::of(sighting.object.as_ref()),
        };
        let second = sighting.time_ns / SECOND_NS;
        let ways = traffic.ways.len();
        let tally = traffic.tally((second, ends), &mut self.evicted);
        tally.outcomes.resize(ways, Outcome::default());
        if let Some(outcome) = tally.outcomes.get_mut(place) {
            outcome.early += sighting.count;
            outcome.last_early_ns = sighting.time_ns.max(outcome.last_early_ns);
        }
    }

    /// Drops what waits for its judgement.
    pub(super) fn let_go(&mut self) {
        self.forgot = 0;
        self.traffics
            .iter_mut()
            .for_each(|traffic| traffic.tallies.clear());
    }

    /// Judges every second that is complete.
    pub(super) fn judge(&mut self, table: &Table, now_ns: u64, episodes: &mut Episodes) {
        let complete = now_ns / SECOND_NS;
        for (row, traffic) in table.0.iter().zip(&mut self.traffics) {
            traffic.judge(row, complete, episodes, &mut self.evicted);
        }
        self.forget(complete);
    }

    /// Drops what had no traffic for long, once a minute.
    fn forget(&mut self, second: u64) {
        if second >= self.forgot + 60 {
            self.forgot = second;
            for traffic in &mut self.traffics {
                traffic
                    .baselines
                    .retain(|_, normal| second < normal.last + FORGET_AFTER_SECONDS);
            }
        }
    }
}

impl Traffic {
    fn add(&mut self, row: &Ways, seen: &Seen<'_>, evicted: &mut Evicted) {
        let event = seen.event;
        // A window that ends on the full second speaks of the second before.
        let second = event.time_ns.saturating_sub(1) / SECOND_NS;
        let mut ends = seen.ends.clone();
        if row.alone {
            ends.object = Name::default();
        }
        let tally = self.tally((second, ends), evicted);
        tally.total += (row.total)(&event.body);
        for (place, way) in row.failing.iter().enumerate() {
            let (failed, high) = way.failed.of(&event.body);
            if failed == 0 && high.iter().all(|count| *count == 0) {
                continue;
            }
            tally.outcomes.resize(row.failing.len(), Outcome::default());
            if let Some(outcome) = tally.outcomes.get_mut(place) {
                outcome.failed += failed;
                add_buckets(&mut outcome.high, &high);
                outcome.waiting_ns = [outcome.waiting_ns, event.body.waiting_ns()]
                    .into_iter()
                    .flatten()
                    .min();
                outcome.evidence.get_or_insert(event.id);
            }
            tally
                .ends
                .get_or_insert_with(|| (event.subject.clone(), event.object.clone().filter(|_| !row.alone)));
        }
    }

    fn tally(&mut self, key: (u64, Ends), evicted: &mut Evicted) -> &mut Tally {
        evicted.make_room(&mut self.tallies, &key, MOST_TALLIES);
        self.tallies.entry(key).or_default()
    }

    fn judge(&mut self, row: &Ways, complete: u64, episodes: &mut Episodes, evicted: &mut Evicted) {
        while let Some(entry) = self
            .tallies
            .first_entry()
            .filter(|entry| entry.key().0 < complete)
        {
            let ((second, ends), tally) = entry.remove_entry();
            evicted.make_room(&mut self.baselines, &ends, MOST_TALLIES);
            let normal = self.baselines.entry(ends.clone()).or_default();
            normal.judge(row, second, &ends, &tally, episodes);
        }
    }
}

fn seconds(ns: u64) -> Fact {
    Fact::Number(Duration::from_nanos(ns).as_secs_f64())
}

/// When most requests fail, users cannot work.
const MOST: f64 = 0.5;

fn sighting(
    way: &Way,
    tally: &Tally,
    outcome: &Outcome,
    above_ns: Option<u64>,
    end_ns: u64,
    baseline: f64,
    surprise: f64,
) -> Option<Sighting> {
    let (subject, object) = tally.ends.clone()?;
    let ratio = share(outcome.failed, tally.total);
    let severity = if ratio >= MOST {
        way.severity_of_most
    } else {
        way.severity
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
    let mut facts = Facts::from([("ratio".to_owned(), Fact::Number(ratio))]);
    if let Some(above_ns) = above_ns {
        facts.insert("above_seconds".to_owned(), seconds(above_ns));
        // Who waits on began to before he was seen to.
        let waiting = outcome.waiting_ns.map(seconds);
        facts.extend(waiting.map(|waiting| (WAITED_SECONDS.to_owned(), waiting)));
    }
    Some(Sighting {
        condition: way.condition,
        traits: way.traits,
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
        facts,
        evidence: outcome.evidence,
        exemplar: None,
    })
}

#[cfg(test)]
mod tests;
