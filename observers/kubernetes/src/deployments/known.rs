//! What each object of one kind was like: what is seen anew is compared with it. Pure: objects in, changes out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus_schema::event::kubernetes::MOST_AFFECTED;

use super::change::{Change, Pods, Subject, What};
use super::index::{Id, Index, Reach};
use super::kinds::Kind;
use super::marks::Marks;
use super::object::Object;
use super::signature::{is_late, moment, sign_for, written};
use super::state::{State, is_made_by_a_known_kind};
use super::writer::{Written, is_by_controller, nanoseconds};

/// Whom objects of all kinds concern; shared by the watches.
pub(super) type SharedIndex = Arc<Mutex<Index>>;

/// Namespace and name.
type Name = (Box<str>, Box<str>);

/// The objects of one kind. What is in the first list is no change, nor is what is listed again.
#[derive(Debug)]
pub(super) struct Objects {
    kind: &'static Kind,
    index: SharedIndex,
    known: HashMap<Name, State>,
    list: u64,
    is_listing: bool,
    is_complete: bool,
    /// When the watch failed last, UNIX ns, until it is known to go on.
    interrupted_ns: Option<u64>,
}

impl Objects {
    /// None are known yet.
    pub(super) fn new(kind: &'static Kind, index: SharedIndex) -> Self {
        Self {
            kind,
            index,
            known: HashMap::new(),
            list: 0,
            is_listing: false,
            is_complete: false,
            interrupted_ns: None,
        }
    }

    /// A list begins: at the start, or because the watch was interrupted.
    pub(super) fn begin_list(&mut self) {
        self.list += 1;
        self.is_listing = true;
    }

    /// A list is complete: what was not in it was deleted meanwhile.
    pub(super) fn end_list(&mut self, observed_ns: u64) -> Vec<Change> {
        let current = self.list;
        let missing = self.known.iter().filter(|(_, known)| known.listed != current);
        let missing: Vec<_> = missing.map(|(name, _)| name.clone()).collect();
        let changes = missing
            .iter()
            .filter_map(|name| self.remove(name, None, observed_ns));
        let changes = changes.collect();
        (self.is_listing, self.is_complete, self.interrupted_ns) = (false, true, None);
        changes
    }

    /// The watch failed: what comes next may have happened meanwhile.
    pub(super) fn interrupt(&mut self, observed_ns: u64) {
        self.interrupted_ns = Some(observed_ns);
    }

    /// The watch works, and has told all that happened meanwhile.
    pub(super) fn goes_on(&mut self) {
        self.interrupted_ns = None;
    }

    /// An object as it is now; gives what changed since it was last seen, even when that was before an interruption.
    pub(super) fn see(&mut self, object: &Object, observed_ns: u64) -> Vec<Change> {
        let meta = &object.metadata;
        if self.kind.ignored.contains(&object.name()) {
            return Vec::new();
        }
        let name: Name = (object.namespace().into(), object.name().into());
        let marks = Marks::of(meta);
        let list = self.list;
        if let Some(known) = self.known.get_mut(&name).filter(|known| known.is_of(meta)) {
            known.listed = list;
            if known.is_leaving || known.is_as(meta, &marks) {
                return Vec::new();
            }
        }
        if let Some(time) = &meta.deletion_timestamp {
            // At once or when it is finalised: that it is deleted is told now.
            let change = self.remove(&name, Some(nanoseconds(time)), observed_ns);
            self.known.insert(name, State::leaving(meta, list));
            return change.into_iter().collect();
        }
        let mut now = State::of(self.kind, object, marks, list);
        if let Some(before) = self.known.get(&name) {
            now.follows(before);
        }
        let changes = self.compare(&name, &now, object, observed_ns);
        if changes.iter().any(|change| !change.is_late) {
            self.interrupted_ns = None;
        }
        self.known.insert(name, now);
        changes
    }

    /// An object is gone. One of the same name that comes later is another one.
    pub(super) fn lose(&mut self, object: &Object, observed_ns: u64) -> Vec<Change> {
        let name = (object.namespace().into(), object.name().into());
        let time = object.metadata.deletion_timestamp.as_ref();
        let change = self.remove(&name, time.map(nanoseconds), observed_ns);
        change.into_iter().collect()
    }

    fn remove(&mut self, name: &Name, deleted_ns: Option<u64>, observed_ns: u64) -> Option<Change> {
        let before = self.known.remove(name)?;
        if before.is_leaving {
            return None;
        }
        let id: Id = (self.kind.name, name.1.clone());
        let mut index = lock(&self.index);
        let affected = index.affected(&name.0, &id);
        index.remove(&name.0, &id);
        drop(index);
        if before.is_controlled || !self.is_complete {
            return None;
        }
        // Nobody signs a deletion.
        let written = Some(Written {
            manager: String::new(),
            time_ns: deleted_ns,
        });
        let what = affecting(before.deleted(), affected);
        Some(self.change(name, &before, what, written, observed_ns))
    }

    /// What is different now.
    fn compare(&self, name: &Name, now: &State, object: &Object, observed_ns: u64) -> Vec<Change> {
        let id: Id = (self.kind.name, name.1.clone());
        let before = self.known.get(name).filter(|known| !known.is_leaving);
        let meta = &object.metadata;
        let what = match before {
            _ if !self.is_complete => Vec::new(),
            None if now.is_controlled || is_by_controller(meta) => Vec::new(),
            None => vec![now.created()],
            Some(before) => before.changed(now, meta),
        };
        let mut index = lock(&self.index);
        let former = (!what.is_empty()).then(|| index.affected(&name.0, &id));
        // The CronJob stands for its Jobs.
        if !is_made_by_a_known_kind(meta) {
            index.put(&name.0, id.clone(), now.content.reach.clone());
        }
        let Some(mut affected) = former else {
            return Vec::new();
        };
        affected.extend(index.affected(&name.0, &id));
        let scaler = index.scaler(&name.0, &id);
        drop(index);
        let changes = what.into_iter().map(|what| {
            let written = written(&what, before, meta, observed_ns);
            let what = affecting(what, affected.iter().cloned());
            let mut change = self.change(name, now, what, written, observed_ns);
            change.pods = before.map_or(Pods::Same, |before| before.pods(now));
            change.is_rollback = change.pods != Pods::Same && now.ran_before();
            sign_for(scaler.as_ref(), change)
        });
        changes.collect()
    }

    fn change(
        &self,
        name: &Name,
        of: &State,
        what: What,
        written: Option<Written>,
        observed_ns: u64,
    ) -> Change {
        let (manager, written_ns) = match written {
            Some(Written { manager, time_ns }) => (manager, time_ns),
            None => (String::new(), None),
        };
        let is_late = self.is_listing || is_late(written_ns, observed_ns, self.interrupted_ns);
        let written_ns = written_ns.unwrap_or(observed_ns);
        Change {
            subject: Subject {
                kind: self.kind.name,
                namespace: name.0.to_string(),
                name: name.1.to_string(),
                is_workload: matches!(of.content.reach, Reach::Itself(_)),
            },
            what,
            generation: of.generation.unwrap_or(0),
            manager,
            scaler: None,
            written_ns,
            time_ns: moment(written_ns, observed_ns),
            observed_ns,
            pods: Pods::Same,
            is_rollback: false,
            is_late,
        }
    }
}

/// … for these workloads.
fn affecting(mut what: What, workloads: impl IntoIterator<Item = bus_schema::entity::Workload>) -> What {
    match &mut what {
        What::Spec { affected, .. } => *affected = workloads.into_iter().take(MOST_AFFECTED).collect(),
        What::Image { .. } => {}
    }
    what
}

/// Nothing is left half done by a task that panics: it only asks and puts.
fn lock(index: &SharedIndex) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
