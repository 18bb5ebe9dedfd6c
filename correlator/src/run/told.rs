//! What was told before a state was lost. The incidents that are found again go on under their ids and revisions; those that are
//! not found again are over.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::incident::State;
use bus_schema::{EventId, Incident};
use serde::{Deserialize, Serialize};

/// Incidents as they were told, and which of the present ones each of them is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Told {
    open: BTreeMap<EventId, Open>,
    /// From the present id of an incident to the one under which it was told.
    same: BTreeMap<EventId, EventId>,
    /// While the state is made again: what was told last, and what was found of it.
    #[serde(skip)]
    recalled: BTreeMap<EventId, Incident>,
    #[serde(skip)]
    found: BTreeMap<EventId, Incident>,
}

/// An incident that was told and is not merged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Open {
    revision: u32,
    steps: BTreeSet<EventId>,
}

impl Told {
    /// Takes note of the newest revision of an incident.
    pub(super) fn recall(&mut self, incident: Incident) {
        if !is_open(&incident) {
            return;
        }
        let open = Open {
            revision: incident.revision,
            steps: steps(&incident).collect(),
        };
        self.open.insert(incident.id, open);
        self.recalled.insert(incident.id, incident);
    }

    /// Takes note of a revision that follows from what was told already.
    pub(super) fn find(&mut self, incident: Incident) {
        if let Some(id) = self.told_id(&incident) {
            self.found.insert(id, incident);
        }
    }

    /// What remains to be told when the state is made again, at `now_ns` of event time (UNIX): the end of incidents that were
    /// told as open and are over by what is known now.
    pub(super) fn settle(&mut self, now_ns: u64) -> Vec<Incident> {
        let (recalled, found) = (
            std::mem::take(&mut self.recalled),
            std::mem::take(&mut self.found),
        );
        let mut over = Vec::new();
        for (id, incident) in recalled {
            match found.get(&id) {
                Some(newest) if is_open(newest) => {}
                Some(newest) => over.push(self.go_on(newest.clone())),
                // The stream holds none of its symptoms any more.
                None => {
                    let mut last = self.go_on(incident);
                    last.state = State::Resolved;
                    last.updated_at.0 = last.updated_at.0.max(now_ns);
                    over.push(last);
                }
            }
        }
        over
    }

    /// A revision as it is to be told: under the id, and after the revision, that were told last.
    pub(super) fn go_on(&mut self, mut incident: Incident) -> Incident {
        if let Some(id) = self.told_id(&incident)
            && let Some(open) = self.open.get_mut(&id)
        {
            open.revision += 1;
            incident.id = id;
            incident.revision = open.revision;
            if incident.state == State::Open {
                incident.state = State::Updated;
            }
        }
        if let Some(into) = &mut incident.merged_into {
            *into = self.same.get(into).copied().unwrap_or(*into);
        }
        if incident.state == State::Merged {
            self.open.remove(&incident.id);
            self.same.retain(|_, told| *told != incident.id);
        }
        incident
    }

    /// The id under which an incident was told: its own, or that of one with which it shares a step and which no other is.
    fn told_id(&mut self, incident: &Incident) -> Option<EventId> {
        if self.open.contains_key(&incident.id) {
            return Some(incident.id);
        }
        if let Some(id) = self.same.get(&incident.id) {
            return Some(*id);
        }
        let taken: BTreeSet<_> = self.same.values().collect();
        let shares = |open: &Open| steps(incident).any(|step| open.steps.contains(&step));
        let free = self
            .open
            .iter()
            .find(|(id, open)| !taken.contains(id) && shares(open))?;
        let id = *free.0;
        self.same.insert(incident.id, id);
        Some(id)
    }
}

fn is_open(incident: &Incident) -> bool {
    matches!(incident.state, State::Open | State::Updated)
}

fn steps(incident: &Incident) -> impl Iterator<Item = EventId> {
    incident.steps.iter().map(|step| step.id)
}

#[cfg(test)]
mod tests;
