//! The open episodes of a partition: merging sightings, deciding what is worth publishing, ending the quiet ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bus_schema::episode::Episode;
use bus_schema::{Entity, EventId, Severity};
use serde::{Deserialize, Serialize};

use super::evicted::Evicted;
use super::evidence::SURPRISING_BITS;
use super::seen::{Ends, Name};
use super::sighting::Sighting;
use crate::condition::row::Traits;
use crate::condition::{Catalogue, Condition};

/// A running episode is published again this often at most, unless it gets worse.
const REPUBLISH_NS: u64 = 1_000_000_000;
/// Shares of failures are judged by windows of this length.
const WINDOW_NS: u64 = 1_000_000_000;
/// What must last is an error after this long.
const SUSTAINED_NS: u64 = 1_000_000_000;
/// What has never worked may have started before what it needs: it is an error after this long. Kubernetes' probes come
/// every ten seconds, and what one waits for may be there and not known to be.
const STARTED_NS: u64 = 10_000_000_000;
/// Fewer failures than this are no error, however long they last.
const SUSTAINED_COUNT: u64 = 3;
/// Proof is the first few events; more of the same proves no more.
const MOST_EVIDENCE: usize = 8;
/// Most episodes told at a time: a message of them stays far below what the bus takes.
const MOST_TOLD: usize = 256;
/// Pods and nodes that an episode names.
const MOST_NAMED: usize = 32;
/// Most places of one state: more than pods of one workload in any cluster.
const MOST_PLACES: usize = 10_000;
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

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    episode: Episode,
    published_ns: u64,
    /// Until when it has lasted for certain, UNIX ns.
    #[serde(default)]
    certain_until_ns: u64,
    /// Nothing of its kind has worked here yet.
    #[serde(default)]
    is_starting: bool,
    /// Of a state: where it holds.
    #[serde(default)]
    seen_on: BTreeSet<String>,
    urgent: bool,
    dirty: bool,
    /// The last pause in it that was long enough to hold a healthy window.
    pause: Option<Box<Pause>>,
}

/// An episode as it was before a pause, and as it would have begun after it. Failures are told at once and windows when
/// they are complete: only then is it known whether the pause was health or silence.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pause {
    before: Open,
    after: Open,
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

impl Open {
    fn begin(sighting: &Sighting) -> Self {
        let Key(condition, subject, object, number) = Key::of(sighting);
        let (subject, object) = (String::from(subject), String::from(object));
        let id = EventId::of_parts(
            sighting.time_ns,
            &[condition.token(), &subject, &object, &number.to_string()],
        );
        let episode = Episode {
            id,
            condition: sighting.condition.token().to_owned(),
            severity: sighting.severity,
            subject: sighting.subject.clone(),
            object: sighting.object.clone(),
            start_ns: sighting.time_ns,
            last_ns: sighting.time_ns,
            baseline: sighting.baseline,
            ..Episode::default()
        };
        Self {
            episode,
            published_ns: 0,
            certain_until_ns: 0,
            is_starting: false,
            seen_on: BTreeSet::new(),
            urgent: true,
            dirty: true,
            pause: None,
        }
    }

    fn merge(&mut self, sighting: Sighting) {
        self.notice_pause(&sighting);
        self.add(sighting);
    }

    /// Begins to keep what came before and what comes after apart, when a whole window lies between.
    fn notice_pause(&mut self, sighting: &Sighting) {
        if !sighting.traits.must_last {
            return;
        }
        if sighting.time_ns / WINDOW_NS > self.episode.last_ns / WINDOW_NS + 1 {
            let after = Self::begin(sighting);
            let before = Self {
                pause: None,
                ..self.clone()
            };
            self.pause = Some(Box::new(Pause { before, after }));
        }
        if let Some(pause) = &mut self.pause {
            pause.after.add(sighting.clone());
        }
    }

    /// Becomes what came after a pause in which the window up to `until_ns` lies, and gives what came before.
    fn split(&mut self, until_ns: u64) -> Option<Self> {
        let Pause { mut before, after } = *self.pause.take_if(|pause| {
            let Pause { before, after } = pause.as_ref();
            before.episode.last_ns < until_ns && until_ns <= after.episode.start_ns
        })?;
        before.episode.revision = self.episode.revision;
        *self = after;
        Some(before)
    }

    fn end(&mut self, at_ns: u64) {
        self.episode.closed = true;
        self.episode.over_ns = Some(at_ns);
        self.dirty = true;
    }

    fn add(&mut self, sighting: Sighting) {
        let episode = &mut self.episode;
        if sighting.traits.is_state {
            episode.object.clone_from(&sighting.object);
            if self.seen_on.len() < MOST_PLACES {
                self.seen_on.insert(place(&sighting.subject));
            }
        }
        episode.start_ns = episode.start_ns.min(sighting.time_ns);
        episode.last_ns = episode.last_ns.max(sighting.time_ns);
        episode.over_ns = episode.over_ns.filter(|over_ns| *over_ns > sighting.time_ns);
        self.certain_until_ns = self.certain_until_ns.max(sighting.certain_until_ns);
        episode.count += sighting.count;
        episode.peak = episode.peak.max(sighting.intensity);
        episode.surprise = episode.surprise.max(sighting.surprise);
        if !sighting.traits.keeps_first_facts || episode.facts.is_empty() {
            episode.facts.extend(sighting.facts);
        }
        note(&mut episode.pods, sighting.subject.pod.map(|pod| pod.name));
        note(&mut episode.nodes, sighting.subject.node);
        if episode.evidence.len() < MOST_EVIDENCE {
            episode.evidence.extend(sighting.evidence);
        }
        self.dirty = true;
        self.is_starting = sighting.is_starting.unwrap_or(self.is_starting);
        self.escalate(sighting.traits, sighting.severity);
    }

    /// A state that goes on for longer than one waits for is an error, whether or not anybody suffers.
    fn lose_patience(&mut self, patience_ns: u64, now_ns: u64) {
        let is_over = self.episode.closed || now_ns < self.episode.start_ns + patience_ns;
        if !is_over && self.episode.severity < Severity::Error {
            self.episode.severity = Severity::Error;
            (self.urgent, self.dirty) = (true, true);
        }
    }

    /// What must last becomes an error once it has lasted, often enough, beyond what its baseline explains.
    fn escalate(&mut self, traits: Traits, seen: Severity) {
        let episode = &mut self.episode;
        let lasted_ns = self.certain_until_ns.saturating_sub(episode.start_ns);
        let patience_ns = if self.is_starting {
            STARTED_NS
        } else {
            SUSTAINED_NS
        };
        let sustained = lasted_ns >= patience_ns
            && episode.count >= SUSTAINED_COUNT
            && episode.surprise >= SURPRISING_BITS;
        let severity = match (traits.must_last, sustained) {
            (true, true) => seen.max(Severity::Error),
            (true, false) => seen.min(Severity::Warning),
            (false, _) => seen,
        };
        if severity > episode.severity {
            episode.severity = severity;
            self.urgent = true;
        }
    }

    fn publish(&mut self) -> Episode {
        self.urgent = false;
        self.dirty = false;
        self.episode.revision += 1;
        self.episode.clone()
    }
}

/// Where a state holds: a container, a pod; nowhere in particular for what is one thing.
fn place(subject: &Entity) -> String {
    let pod = subject.pod.as_ref().map_or("", |pod| pod.uid.as_str());
    let container = subject
        .container
        .as_ref()
        .map_or("", |container| container.name.as_str());
    [pod, "/", container].concat()
}

/// Remembers a name once, and only so many.
fn note(names: &mut Vec<String>, name: Option<String>) {
    if let Some(name) = name.filter(|name| !name.is_empty() && !names.contains(name))
        && names.len() < MOST_NAMED
    {
        names.push(name);
    }
}

#[cfg(test)]
mod tests;
