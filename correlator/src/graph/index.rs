//! Episodes by condition and by who they happened to, so that a rule looks only at what its relation allows, in both
//! directions: who may have caused this, and what may this have caused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bus_schema::entity::SERVICE_KIND;
use bus_schema::episode::Episode;
use bus_schema::{Entity, EventId};

use super::relations::Arrow;
use super::world::World;
use crate::condition::{Catalogue, Condition};
use crate::rules::path::{CALLS, EXCHANGES, Hop, NAMES, Path, RUNS_ON};

/// Entities that are followed at one point of a path; more share one relation in no cluster that one would explain by it.
const MOST_ON_THE_WAY: usize = 1_000;

/// Beginning (UNIX ns) and id: episodes in order of time.
type Place = (u64, EventId);
/// Episodes by the name of somebody.
type Names = BTreeMap<Arc<str>, BTreeSet<Place>>;

/// All episodes of the world. Nothing in it is written down: it follows from the world.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<EventId, Entry>,
    by_condition: BTreeMap<Condition, Sorted>,
    /// From where each relation leads to this one, by relation.
    backwards: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
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
    /// Sorts an episode in, or anew where it begins earlier than was known or is about somebody else.
    pub(super) fn insert(&mut self, catalogue: &Catalogue, episode: &Episode) {
        let Some(condition) = catalogue.condition(&episode.condition) else {
            return;
        };
        let objects: Vec<Arc<str>> = episode.object.iter().flat_map(names_of).map(Into::into).collect();
        let known = self.entries.get(&episode.id);
        if known.is_some_and(|known| known.start_ns == episode.start_ns && known.objects == objects) {
            return;
        }
        self.remove(episode.id);
        let entry = Entry {
            condition,
            subject: episode.subject.key().into(),
            objects,
            node: episode
                .subject
                .node
                .as_deref()
                .map(|node| Entity::of_node(node).key().into()),
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

    /// A relation that was told of.
    pub(super) fn relate(&mut self, arrow: &Arrow) {
        let Arrow { relation, from, to } = arrow;
        let arrows = self.backwards.entry(relation.clone()).or_default();
        arrows.entry(to.clone()).or_default().insert(from.clone());
    }

    /// A relation that is remembered no more.
    pub(super) fn unrelate(&mut self, arrow: &Arrow) {
        let Some(arrows) = self.backwards.get_mut(&arrow.relation) else {
            return;
        };
        if let Some(origins) = arrows.get_mut(&arrow.to) {
            origins.remove(&arrow.from);
            if origins.is_empty() {
                arrows.remove(&arrow.to);
            }
        }
    }

    fn to(&self, relation: &str, to: &str) -> impl Iterator<Item = &str> {
        let origins = self.backwards.get(relation).and_then(|arrows| arrows.get(to));
        origins.into_iter().flatten().map(String::as_str)
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

    /// Episodes of `condition` that began within `time` and stand as cause at the end of the path from `effect`.
    pub(super) fn causes(
        &self,
        world: &World,
        path: &Path,
        condition: Condition,
        effect: &Entry,
        time: RangeInclusive<u64>,
    ) -> BTreeSet<EventId> {
        let Some((first, others)) = path.hops().split_first() else {
            return self.about(condition, &effect.subject, time).collect();
        };
        let mut at = self.first_hop(world, first, effect);
        // Who suffers from the same callee says so itself.
        let shares_callee = others
            .last()
            .is_some_and(|hop| hop.relation == CALLS && !hop.forward);
        let between = others.len() - usize::from(shares_callee);
        for hop in others.iter().take(between) {
            at = self.hop(world, hop, hop.forward, &at);
        }
        let names: fn(&Sorted) -> &Names = if shares_callee {
            |sorted| &sorted.objects
        } else {
            |sorted| &sorted.subjects
        };
        at.iter()
            .flat_map(|key| self.on(condition, names, key, time.clone()))
            .collect()
    }

    /// Where the first relation of a path leads: what the effect says of itself counts before what is known otherwise.
    fn first_hop(&self, world: &World, hop: &Hop, effect: &Entry) -> BTreeSet<String> {
        let own = match (hop.relation.as_str(), hop.forward) {
            (NAMES | CALLS, true) => effect.objects.as_slice(),
            (RUNS_ON, true) => effect.node.as_slice(),
            _ => &[],
        };
        if own.is_empty() {
            self.hop(
                world,
                hop,
                hop.forward,
                &BTreeSet::from([effect.subject.to_string()]),
            )
        } else {
            own.iter().map(ToString::to_string).collect()
        }
    }

    /// What stands one relation further.
    fn hop(&self, world: &World, hop: &Hop, forward: bool, at: &BTreeSet<String>) -> BTreeSet<String> {
        let mut next = BTreeSet::new();
        for key in at {
            if next.len() >= MOST_ON_THE_WAY {
                break;
            }
            if forward {
                next.extend(world.relations.from(&hop.relation, key).map(ToOwned::to_owned));
            } else {
                next.extend(self.to(&hop.relation, key).map(ToOwned::to_owned));
            }
        }
        next
    }

    /// Episodes of `condition` that began within `time` and stand as effect at the beginning of the path to `cause`: the
    /// opposite of [`Self::causes`].
    pub(super) fn effects(
        &self,
        world: &World,
        path: &Path,
        condition: Condition,
        cause: &Entry,
        time: RangeInclusive<u64>,
    ) -> BTreeSet<EventId> {
        let hops = path.hops();
        let shares_callee = hops.len() > 1
            && hops
                .last()
                .is_some_and(|hop| hop.relation == CALLS && !hop.forward);
        let (at, before) = if shares_callee {
            let objects = cause.objects.iter().map(ToString::to_string);
            (objects.collect(), hops.len() - 1)
        } else {
            (BTreeSet::from([cause.subject.to_string()]), hops.len())
        };
        self.effects_before(
            world,
            hops.get(..before).unwrap_or_default(),
            condition,
            at,
            &time,
        )
    }

    /// Episodes of `condition` from which these hops lead to what stands `at` their end.
    pub(super) fn effects_before(
        &self,
        world: &World,
        hops: &[Hop],
        condition: Condition,
        mut at: BTreeSet<String>,
        time: &RangeInclusive<u64>,
    ) -> BTreeSet<EventId> {
        let Some((first, others)) = hops.split_first() else {
            let about = at.iter().flat_map(|key| self.about(condition, key, time.clone()));
            return about.collect();
        };
        for hop in others.iter().rev() {
            at = self.hop(world, hop, !hop.forward, &at);
        }
        let mut effects = BTreeSet::new();
        let names: Option<fn(&Sorted) -> &Names> = match (first.relation.as_str(), first.forward) {
            (NAMES | CALLS, true) => Some(|sorted| &sorted.objects),
            (RUNS_ON, true) => Some(|sorted| &sorted.nodes),
            _ => None,
        };
        for key in at.iter().filter(|_| names.is_some()) {
            let names = names.unwrap_or(|sorted| &sorted.subjects);
            effects.extend(self.on(condition, names, key, time.clone()));
        }
        for subject in self.hop(world, first, !first.forward, &at) {
            let about = self.about(condition, &subject, time.clone());
            effects.extend(about.filter(|id| !self.says_itself(first, *id)));
        }
        effects
    }

    /// Whether an effect says of itself where that relation leads.
    fn says_itself(&self, hop: &Hop, id: EventId) -> bool {
        let entry = self.entry(id);
        entry.is_some_and(|entry| match (hop.relation.as_str(), hop.forward) {
            (NAMES | CALLS, true) => !entry.objects.is_empty(),
            (RUNS_ON, true) => entry.node.is_some(),
            _ => false,
        })
    }

    /// Episodes of `condition` of which a cause may stand behind `arrow`, which is the hop of `path` at this place, or tells what is
    /// said over it.
    pub(super) fn effects_through(
        &self,
        world: &World,
        path: &Path,
        place: usize,
        condition: Condition,
        arrow: &Arrow,
    ) -> BTreeSet<EventId> {
        let hops = path.hops();
        let is_seen = arrow.relation == EXCHANGES;
        let is_it = |hop: &&Hop| hop.relation == arrow.relation || is_seen && hop.relation == CALLS;
        let Some(hop) = hops.get(place).filter(is_it) else {
            return BTreeSet::new();
        };
        let near = if hop.forward { &arrow.from } else { &arrow.to };
        let before = hops.get(..place).unwrap_or_default();
        let at = BTreeSet::from([near.clone()]);
        let mut effects = self.effects_before(world, before, condition, at, &(0..=u64::MAX));
        if place == 0 && !is_seen {
            effects.retain(|id| !self.says_itself(hop, *id));
        }
        effects
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

/// Every name under which something may have happened to `entity`: its own, those of all workloads that a call of it may have
/// reached, and that of the Service through which it was made.
pub(super) fn names_of(entity: &Entity) -> Vec<String> {
    let own = entity.key();
    let service = entity.service.as_ref();
    let through =
        service.map(|service| Entity::of_object(SERVICE_KIND, &service.namespace, &service.name).key());
    let through = through.filter(|through| *through != own);
    let behind = entity.backends.iter().cloned().map(Entity::of_workload);
    let behind = behind.map(|workload| workload.key());
    [own].into_iter().chain(through).chain(behind).collect()
}

/// Whether both are one process; a node has its own numbers.
pub(super) fn is_same_process(one: &Entity, other: &Entity) -> bool {
    let (Some(one_process), Some(other_process)) = (&one.process, &other.process) else {
        return false;
    };
    one.node == other.node && one_process.pid == other_process.pid
}
