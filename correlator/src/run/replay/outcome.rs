//! What a replay comes to: of each incident its root, its members and whether it is over, whatever its revisions were on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bus_schema::EventId;
use bus_schema::incident::{Incident, State, Step};

use super::Place;

/// An incident as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Summary {
    /// Entity and condition of the root; empty where nothing is one.
    pub root: String,
    /// Entity, condition and peer of every step.
    pub members: BTreeSet<String>,
    /// Whether its symptoms are gone.
    pub is_resolved: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_resolved { "resolved" } else { "open" };
        let members: Vec<_> = self.members.iter().map(String::as_str).collect();
        write!(f, "{state}, root {}: {}", self.root, members.join(", "))
    }
}

/// The incidents so far, without those that were merged into others.
#[derive(Debug, Default)]
pub(super) struct Outcome(BTreeMap<EventId, Known>);

#[derive(Debug)]
struct Known {
    summary: Summary,
    /// The message with which it became so.
    since: Place,
}

impl Outcome {
    /// Takes a revision that followed from a message.
    pub(super) fn take(&mut self, incident: &Incident, from: &Place) {
        if incident.state == State::Merged {
            self.0.remove(&incident.id);
            return;
        }
        let summary = summary(incident);
        let before = self.0.get(&incident.id);
        if before.is_none_or(|before| before.summary != summary) {
            let since = from.clone();
            self.0.insert(incident.id, Known { summary, since });
        }
    }

    /// How many incidents there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What `self` has and `other` has not, ids aside: an id hangs on what was told first.
    pub(super) fn without(&self, other: &Self) -> Vec<(&Summary, &Place)> {
        let mut theirs: BTreeMap<&Summary, usize> = BTreeMap::new();
        for known in other.0.values() {
            *theirs.entry(&known.summary).or_default() += 1;
        }
        let is_own = |known: &&Known| match theirs.get_mut(&known.summary) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            Some(_) | None => true,
        };
        let own = self.0.values().filter(is_own);
        own.map(|known| (&known.summary, &known.since)).collect()
    }
}

fn summary(incident: &Incident) -> Summary {
    Summary {
        root: incident.root_cause().map(name).unwrap_or_default(),
        members: incident.steps.iter().map(name).collect(),
        is_resolved: incident.state == State::Resolved,
    }
}

fn name(step: &Step) -> String {
    let peer = step.peer.as_ref().map(|peer| format!(" to {}", peer.key()));
    format!(
        "{} {}{}",
        step.entity.key(),
        step.condition,
        peer.unwrap_or_default()
    )
}
