//! Episodes by condition and by who they happened to, so that a rule looks only at what its relation allows, in both
//! directions: who may have caused this, and what may this have caused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bus_schema::episode::Episode;
use bus_schema::{Entity, EventId};

use super::world::World;
use crate::condition::Condition;
use crate::rules::Relation;

/// Beginning (UNIX ns) and id: episodes in order of time.
type Place = (u64, EventId);
/// Episodes by the name of somebody.
type Names = BTreeMap<Arc<str>, BTreeSet<Place>>;

/// All episodes of the world. Nothing in it is written down: it follows from the world.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<EventId, Entry>,
    by_condition: BTreeMap<Condition, Sorted>,
    /// Who was seen to call this one.
    callers: BTreeMap<String, BTreeSet<String>>,
}

/// The names of an episode, written once.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) condition: Condition,
    pub(super) subject: Arc<str>,
    /// Whom it was about; a Service with several workloads behind it stands for each of them.
    pub(super) objects: Vec<Arc<str>>,
    node: Option<Arc<str>>,
    start_ns: u64,
}

/// The episodes of one condition.
#[derive(Debug, Default)]
struct Sorted {
    subjects: Names,
    objects: Names,
    nodes: Names,
}

impl Index {
    /// Sorts an episode in, or anew where it begins earlier than was known.
    pub(super) fn insert(&mut self, episode: &Episode) {
        let Some(condition) = Condition::parse(&episode.condition) else {
            return;
        };
        let known = self.entries.get(&episode.id);
        if known.is_some_and(|known| known.start_ns == episode.start_ns) {
            return;
        }
        self.remove(episode.id);
        let entry = Entry {
            condition,
            subject: episode.subject.key().into(),
            objects: episode.object.iter().flat_map(names_of).map(Into::into).collect(),
            node: episode.subject.node.as_deref().map(Into::into),
            start_ns: episode.start_ns,
        };
        let place = (entry.start_ns, episode.id);
        let sorted = self.by_condition.entry(condition).or_default();
        sorted.each(&entry, |names, name| {
            names.entry(Arc::clone(name)).or_default().insert(place);
        });
        self.entries.insert(episode.id, entry);
    }

    /// Takes an episode out.
    pub(super) fn remove(&mut self, id: EventId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let place = (entry.start_ns, id);
        let sorted = self.by_condition.entry(entry.condition).or_default();
        sorted.each(&entry, |names, name| {
            if let Some(places) = names.get_mut(name) {
                places.remove(&place);
                if places.is_empty() {
                    names.remove(name);
                }
            }
        });
    }

    /// A call that was seen.
    pub(super) fn insert_call(&mut self, from: &str, to: &str) {
        self.callers
            .entry(to.to_owned())
            .or_default()
            .insert(from.to_owned());
    }

    /// A call that is remembered no more.
    pub(super) fn remove_call(&mut self, from: &str, to: &str) {
        if let Some(callers) = self.callers.get_mut(to) {
            callers.remove(from);
            if callers.is_empty() {
                self.callers.remove(to);
            }
        }
    }

    /// The names of an episode.
    pub(super) fn entry(&self, id: EventId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Episodes of `condition` that happened to what has this key, and began within `time` (UNIX ns).
    pub(super) fn about(
        &self,
        condition: Condition,
        key: &str,
        time: RangeInclusive<u64>,
    ) -> impl Iterator<Item = EventId> {
        self.on(condition, |sorted| &sorted.subjects, key, time)
    }

    /// Episodes of `condition` that began within `time` and whose subject stands as cause in this relation to `effect`.
    pub(super) fn causes(
        &self,
        world: &World,
        relation: Relation,
        condition: Condition,
        effect: &Entry,
        time: RangeInclusive<u64>,
    ) -> BTreeSet<EventId> {
        let mut causes = BTreeSet::new();
        if matches!(
            relation,
            Relation::Same | Relation::Process | Relation::CalleeOrSame
        ) {
            causes.extend(self.about(condition, &effect.subject, time.clone()));
        }
        if matches!(relation, Relation::Callee | Relation::CalleeOrSame) {
            for object in &effect.objects {
                causes.extend(self.about(condition, object, time.clone()));
            }
            // whom it called is not known: any of those that it calls
            let callees = world.callees(&effect.subject);
            for callee in callees.filter(|_| effect.objects.is_empty()) {
                causes.extend(self.about(condition, callee, time.clone()));
            }
        }
        if let (Relation::Node, Some(node)) = (relation, &effect.node) {
            causes.extend(self.on(condition, |sorted| &sorted.nodes, node, time.clone()));
        }
        for object in effect
            .objects
            .iter()
            .filter(|_| relation == Relation::SharedCallee)
        {
            causes.extend(self.on(condition, |sorted| &sorted.objects, object, time.clone()));
        }
        causes
    }

    /// Episodes of `condition` that began within `time` and stand as effect in this relation to `cause`: the opposite of
    /// [`Self::causes`].
    pub(super) fn effects(
        &self,
        relation: Relation,
        condition: Condition,
        cause: &Entry,
        time: RangeInclusive<u64>,
    ) -> BTreeSet<EventId> {
        let mut effects = BTreeSet::new();
        if matches!(
            relation,
            Relation::Same | Relation::Process | Relation::CalleeOrSame
        ) {
            effects.extend(self.about(condition, &cause.subject, time.clone()));
        }
        if matches!(relation, Relation::Callee | Relation::CalleeOrSame) {
            effects.extend(self.on(condition, |sorted| &sorted.objects, &cause.subject, time.clone()));
            for caller in self.callers.get(&*cause.subject).into_iter().flatten() {
                effects.extend(self.without_object(condition, caller, time.clone()));
            }
        }
        if let (Relation::Node, Some(node)) = (relation, &cause.node) {
            effects.extend(self.on(condition, |sorted| &sorted.nodes, node, time.clone()));
        }
        for object in cause
            .objects
            .iter()
            .filter(|_| relation == Relation::SharedCallee)
        {
            effects.extend(self.on(condition, |sorted| &sorted.objects, object, time.clone()));
        }
        effects
    }

    /// Episodes of `subject` that do not say whom it called.
    pub(super) fn without_object(
        &self,
        condition: Condition,
        subject: &str,
        time: RangeInclusive<u64>,
    ) -> impl Iterator<Item = EventId> {
        let says_nobody = |id: &EventId| self.entry(*id).is_some_and(|entry| entry.objects.is_empty());
        self.about(condition, subject, time).filter(says_nobody)
    }

    fn on(
        &self,
        condition: Condition,
        names: impl Fn(&Sorted) -> &Names,
        name: &str,
        time: RangeInclusive<u64>,
    ) -> impl Iterator<Item = EventId> {
        let places = self
            .by_condition
            .get(&condition)
            .and_then(|sorted| names(sorted).get(name));
        let (from, to) = ((*time.start(), EventId(0)), (*time.end(), EventId(u128::MAX)));
        // a range that ends before it begins holds nothing
        let places = places.filter(|_| from <= to).into_iter();
        places
            .flat_map(move |places| places.range(from..=to))
            .map(|(_, id)| *id)
    }
}

impl Sorted {
    /// Does something wherever an episode with these names stands.
    fn each(&mut self, entry: &Entry, mut act: impl FnMut(&mut Names, &Arc<str>)) {
        act(&mut self.subjects, &entry.subject);
        for object in &entry.objects {
            act(&mut self.objects, object);
        }
        if let Some(node) = &entry.node {
            act(&mut self.nodes, node);
        }
    }
}

/// Every name under which something may have happened to `entity`: its own, and those of all workloads that a call of it
/// may have reached.
pub(super) fn names_of(entity: &Entity) -> Vec<String> {
    let behind = entity.backends.iter().cloned().map(Entity::of_workload);
    [entity.key()]
        .into_iter()
        .chain(behind.map(|workload| workload.key()))
        .collect()
}

/// Whether both are one process; a node has its own numbers.
pub(super) fn is_same_process(one: &Entity, other: &Entity) -> bool {
    let (Some(one_process), Some(other_process)) = (&one.process, &other.process) else {
        return false;
    };
    one.node == other.node && one_process.pid == other_process.pid
}
