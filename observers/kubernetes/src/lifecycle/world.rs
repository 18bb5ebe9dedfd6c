//! All that is known of the cluster, and what follows from each change of it. Pure: changes and a clock in, transitions out.

mod look;
mod objects;
mod timers;

use std::collections::{HashMap, HashSet};

use super::facts::Fact;
use super::finding::NEVER;
use super::held::{Held, Look, Transition};
use super::key::{Key, Kind};
use objects::Objects;
use timers::Timers;

/// One watch of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Of all objects of a kind.
    Objects(Kind),
    /// Of Events that warn.
    Warnings,
    /// Of Events about containers that are ended.
    Kills,
    /// Of Events about claims that do not warn.
    Claims,
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    /// A list of everything begins.
    List,
    Seen(Box<Fact>),
    Gone(Key),
    /// The list is complete.
    Listed,
    /// The watch does not work.
    Blind,
}

/// What began so long before a list was complete was not seen as it began.
const LATE_NS: u64 = 5_000_000_000;
/// A watch that goes on where it was interrupted tells what it missed within this time.
const RESUME_NS: u64 = 2_000_000_000;
/// Changes of what is behind a Service come from several watches: it is looked at when they have settled.
const SETTLE_NS: u64 = 1_000_000_000;

/// The cluster.
#[derive(Debug)]
pub(super) struct World {
    objects: Objects,
    held: Held,
    timers: Timers,
    /// Watches whose first list, or first failure, is awaited before anything is told.
    awaited: HashSet<Source>,
    /// Watches whose first list was complete.
    known: HashSet<Source>,
    /// Watches that were interrupted, and until when they tell what happened meanwhile, UNIX ns.
    resuming: HashMap<Source, u64>,
    /// Watches that list again, with what they have listed so far.
    listing: Vec<(Source, HashSet<Key>)>,
}

impl World {
    /// Nothing is told before all of `sources` have listed what is there, or failed.
    pub(super) fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        Self {
            objects: Objects::default(),
            held: Held::default(),
            timers: Timers::default(),
            awaited: sources.into_iter().collect(),
            known: HashSet::new(),
            resuming: HashMap::new(),
            listing: Vec::new(),
        }
    }

    /// A watch has told something.
    pub(super) fn apply(&mut self, source: Source, change: Change, now_ns: u64) -> Vec<Transition> {
        match change {
            Change::List => {
                self.listing.retain(|(listing, _)| *listing != source);
                self.listing.push((source, HashSet::new()));
                Vec::new()
            }
            Change::Seen(fact) => self.see(source, *fact, now_ns),
            Change::Gone(key) => self.lose(&key, now_ns),
            Change::Listed => self.end_list(source, now_ns),
            Change::Blind => {
                self.resuming.insert(source, NEVER);
                let was_last = self.awaited.remove(&source) && self.awaited.is_empty();
                if was_last {
                    self.look_at_all(now_ns)
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now_ns: u64) -> Vec<Transition> {
        let mut told = Vec::new();
        while let Some(key) = self.timers.next_due(now_ns) {
            told.extend(self.look(&key, now_ns, 0));
        }
        told
    }

    /// When time matters next, UNIX ns.
    pub(super) fn wakes_ns(&self) -> u64 {
        self.timers.first_ns().unwrap_or(NEVER)
    }

    fn see(&mut self, source: Source, fact: Fact, now_ns: u64) -> Vec<Transition> {
        let is_resuming = self.is_resuming(source, now_ns);
        let listing = self.listing.iter_mut().find(|(listing, _)| *listing == source);
        let listed = listing.map(|(_, listed)| listed);
        let late_before_ns = if is_resuming || listed.is_some() {
            now_ns.saturating_sub(LATE_NS)
        } else {
            0
        };
        let seen = self.objects.see(fact, now_ns);
        if let (Some(key), Some(listed)) = (&seen.key, listed) {
            listed.insert(key.clone());
        }
        let mut told = Vec::new();
        if let Some(key) = &seen.replaced {
            told.extend(self.end(key, now_ns));
        }
        let Some(key) = seen.key.filter(|_| seen.is_news) else {
            return told;
        };
        if self.awaited.is_empty() && self.known.contains(&Source::Objects(key.kind)) {
            if key.kind != Kind::Service {
                told.extend(self.look(&key, now_ns, late_before_ns));
            }
            self.look_soon(&key, now_ns);
        }
        told
    }

    fn is_resuming(&mut self, source: Source, now_ns: u64) -> bool {
        let Some(until_ns) = self.resuming.get_mut(&source) else {
            return false;
        };
        *until_ns = (*until_ns).min(now_ns.saturating_add(RESUME_NS));
        let goes_on = *until_ns > now_ns;
        if !goes_on {
            self.resuming.remove(&source);
        }
        goes_on
    }

    fn lose(&mut self, key: &Key, now_ns: u64) -> Vec<Transition> {
        self.look_soon(key, now_ns);
        self.objects.lose(key);
        self.end(key, now_ns)
    }

    fn end(&mut self, key: &Key, now_ns: u64) -> Vec<Transition> {
        self.timers.forget(key);
        let look = Look {
            now_ns,
            watched_since_ns: 0,
        };
        self.held
            .reconcile(key, Vec::new(), |_| bus_schema::Entity::default(), look)
            .0
    }

    /// What a list does not hold any more was deleted meanwhile.
    fn end_list(&mut self, source: Source, now_ns: u64) -> Vec<Transition> {
        let mut told = Vec::new();
        let ended = self.listing.iter().position(|(listing, _)| *listing == source);
        let listed = ended.map(|ended| self.listing.swap_remove(ended).1);
        if let (Source::Objects(kind), Some(listed)) = (source, listed) {
            for key in self
                .objects
                .all(kind)
                .into_iter()
                .filter(|key| !listed.contains(key))
            {
                told.extend(self.lose(&key, now_ns));
            }
        }
        self.objects.forget_hints(now_ns);
        let is_first = self.known.insert(source);
        let was_last = self.awaited.remove(&source) && self.awaited.is_empty();
        if was_last || (is_first && self.awaited.is_empty()) {
            // One that comes late explains much: whatever it says was so before.
            told.extend(self.look_at_all(now_ns));
        }
        told
    }

    fn look_at_all(&mut self, now_ns: u64) -> Vec<Transition> {
        let kinds = self.known.iter().filter_map(|source| match source {
            Source::Objects(kind) => Some(*kind),
            Source::Warnings | Source::Kills | Source::Claims => None,
        });
        let mut keys: Vec<_> = kinds
            .into_iter()
            .flat_map(|kind| self.objects.all(kind))
            .collect();
        keys.sort();
        let told = keys.iter().flat_map(|key| self.look(key, now_ns, NEVER));
        told.collect()
    }

    /// The Services that may have got or lost an endpoint by a change of this object.
    fn look_soon(&mut self, key: &Key, now_ns: u64) {
        for service in self.objects.services_near(key) {
            self.timers.no_later_than(&service, now_ns + SETTLE_NS);
        }
    }
}

#[cfg(test)]
mod tests;
