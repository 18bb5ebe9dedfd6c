//! The open episodes of a partition: merging sightings, deciding what is worth publishing, ending the quiet ones.

mod open;

use std::collections::{BTreeMap, VecDeque};

use bus_schema::episode::Episode;
use serde::{Deserialize, Serialize};

use super::evicted::Evicted;
use super::seen::{Ends, Name};
use super::sighting::Sighting;
use crate::condition::{Catalogue, Condition};
use open::{Open, place};

/// A running episode is published again this often at most, unless it gets worse.
const REPUBLISH_NS: u64 = 1_000_000_000;
/// Most episodes told at a time: a message of them stays far below what the bus takes.
const MOST_TOLD: usize = 256;
/// Most open episodes of a partition; the one quiet for longest makes room.
const MOST_OPEN: usize = 20_000;

/// Condition, subject and object: what makes two sightings the same episode. A point also carries its event, the end of a
/// process its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key(Condition, Name, Name, u128);

impl Key {
    fn of(sighting: &Sighting) -> Self {
        // Why a state holds, and through what, may change while it does.
        let object = Name::of(sighting.object.as_ref().filter(|_| !sighting.traits.is_state));
        let number = if sighting.traits.is_point {
            sighting.evidence.unwrap_or_default().0
        } else if sighting.traits.ends_process {
            let process = sighting.subject.process.as_ref();
            process.map_or(0, |process| u128::from(process.pid))
        } else {
            0
        };
        Self(sighting.condition, sighting.subject.key().into(), object, number)
    }
}

/// All open episodes, and those that ended since the last publication.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Episodes {
    #[serde(with = "super::pairs")]
    open: BTreeMap<Key, Open>,
    urgent: VecDeque<Key>,
    /// What ended while its key goes on with another episode.
    ended: Vec<Episode>,
    /// When each service was last seen to listen, UNIX ns.
    ups: BTreeMap<Name, u64>,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

impl Episodes {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Folds a sighting into its episode, opening one where there is none.
    pub(super) fn merge(&mut self, sighting: Sighting) {
        let key = Key::of(&sighting);
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&key) {
            self.make_room();
        }
        // The news that it listens again may come before the news that it had ended.
        let up_ns = self
            .ups
            .get(&key.1)
            .copied()
            .filter(|_| sighting.traits.ends_process);
        let over_ns = up_ns.filter(|up_ns| *up_ns > sighting.time_ns);
        let open = self
            .open
            .entry(key.clone())
            .or_insert_with(|| Open::begin(&sighting));
        open.merge(sighting);
        open.episode.over_ns = open.episode.over_ns.or(over_ns);
        if open.urgent {
            self.urgent.push_back(key);
        }
    }

    pub(super) fn merge_all(&mut self, sightings: impl IntoIterator<Item = Sighting>) {
        sightings.into_iter().for_each(|sighting| self.merge(sighting));
    }

    /// Ends the episode of `condition` between these two, because the window up to `until_ns` was healthy. Failures after
    /// that window are another episode.
    pub(super) fn heal(&mut self, condition: Condition, ends: &Ends, until_ns: u64) {
        let key = Key(condition, ends.subject.clone(), ends.object.clone(), 0);
        let Some(open) = self.open.get_mut(&key) else {
            return;
        };
        if open.episode.last_ns < until_ns {
            open.end(until_ns);
        } else if let Some(mut ended) = open.split(until_ns) {
            ended.end(until_ns);
            self.ended.push(ended.publish());
            self.urgent.push_back(key);
        }
    }

    /// Ends the episode of `condition` between these two although it goes on: it is what is normal there.
    pub(super) fn settle(&mut self, condition: Condition, ends: &Ends, at_ns: u64) {
        let key = Key(condition, ends.subject.clone(), ends.object.clone(), 0);
        if let Some(open) = self.open.get_mut(&key) {
            open.end(at_ns.max(open.episode.last_ns + 1));
        }
    }

    /// Whether a condition holds between these two.
    pub(super) fn is_open(&self, condition: Condition, ends: &Ends) -> bool {
        self.open
            .contains_key(&Key(condition, ends.subject.clone(), ends.object.clone(), 0))
    }

    /// The end of a state is told. It is over when it has ended wherever it was seen.
    pub(super) fn release(&mut self, sighting: &Sighting) {
        let key = Key::of(sighting);
        if let Some(open) = self.open.get_mut(&key) {
            open.seen_on.remove(&place(&sighting.subject));
            if open.seen_on.is_empty() {
                open.end(sighting.time_ns);
                open.urgent = true;
                self.urgent.push_back(key);
            }
        }
    }

    /// The service listens (again): what `conditions` say of its former process is over.
    pub(super) fn is_up(
        &mut self,
        conditions: impl Iterator<Item = Condition>,
        subject: &Name,
        time_ns: u64,
    ) {
        self.evicted.make_room(&mut self.ups, subject, MOST_OPEN);
        let up_ns = self.ups.entry(subject.clone()).or_default();
        *up_ns = time_ns.max(*up_ns);
        for condition in conditions {
            let key = |number| Key(condition, subject.clone(), Name::default(), number);
            let ended = self.open.range_mut(key(0)..=key(u128::MAX));
            for (key, open) in
                ended.filter(|(_, open)| open.episode.last_ns < time_ns && open.episode.over_ns.is_none())
            {
                open.episode.over_ns = Some(time_ns);
                open.dirty = true;
                open.urgent = true;
                self.urgent.push_back(key.clone());
            }
        }
    }

    /// Publishes what cannot wait: what is new or got worse.
    pub(super) fn publish_urgent(&mut self, out: &mut Vec<Episode>) {
        let room = MOST_TOLD.saturating_sub(out.len()).min(self.ended.len());
        out.extend(self.ended.drain(..room));
        while out.len() < MOST_TOLD
            && let Some(key) = self.urgent.pop_front()
        {
            if let Some(open) = self.open.get_mut(&key).filter(|open| open.urgent) {
                out.push(open.publish());
            }
        }
    }

    /// Publishes what changed since a while, and ends what was quiet for its gap. What finds no place waits.
    pub(super) fn publish_due(&mut self, catalogue: &Catalogue, now_ns: u64, out: &mut Vec<Episode>) {
        self.open.retain(|Key(condition, ..), open| {
            if out.len() >= MOST_TOLD {
                return true;
            }
            // A row that is no more had an episode that ends.
            let traits = catalogue.traits(*condition);
            let quiet_ns = traits.map_or(Some(0), |traits| traits.quiet_ns);
            let is_quiet = quiet_ns.is_some_and(|quiet_ns| now_ns > open.episode.last_ns + quiet_ns);
            if !open.episode.closed && is_quiet {
                open.episode.closed = true;
                open.dirty = true;
            }
            if let Some(patience_ns) = traits.and_then(|traits| traits.patience_ns) {
                open.lose_patience(patience_ns, now_ns);
            }
            let is_due = open.urgent || open.episode.closed || now_ns >= open.published_ns + REPUBLISH_NS;
            if open.dirty && is_due {
                open.published_ns = now_ns;
                out.push(open.publish());
            }
            !open.episode.closed
        });
    }

    fn make_room(&mut self) {
        // a part at a time: to look for one costs as much as for many
        let mut by_age: Vec<_> = self
            .open
            .iter()
            .map(|(key, open)| (open.episode.last_ns, key.clone()))
            .collect();
        by_age.sort_unstable();
        for (_, key) in by_age.iter().take(MOST_OPEN / 16) {
            self.open.remove(key);
            self.evicted.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
