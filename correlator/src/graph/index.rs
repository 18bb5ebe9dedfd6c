//! Episodes by condition and by who they happened to, so that a rule looks only at what its relation allows.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::episode::Episode;

use super::world::World;
use crate::condition::Condition;
use crate::rules::Relation;

/// All episodes of the world.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    by_condition: BTreeMap<Condition, Shelf<'a>>,
}

/// Those of one condition.
#[derive(Debug, Default)]
struct Shelf<'a> {
    by_subject: BTreeMap<String, Vec<&'a Episode>>,
    by_node: BTreeMap<&'a str, Vec<&'a Episode>>,
}

impl<'a> Index<'a> {
    /// Sorts the episodes of the world.
    pub(super) fn of(world: &'a World) -> Self {
        let mut index = Self::default();
        for episode in world.episodes.values() {
            let Some(condition) = Condition::parse(&episode.condition) else {
                continue;
            };
            let shelf = index.by_condition.entry(condition).or_default();
            shelf
                .by_subject
                .entry(episode.subject.key())
                .or_default()
                .push(episode);
            if let Some(node) = &episode.subject.node {
                shelf.by_node.entry(node).or_default().push(episode);
            }
        }
        index
    }

    /// Episodes of `condition` that happened to what has this key.
    pub(super) fn about(&self, condition: Condition, key: &str) -> &[&'a Episode] {
        self.by_condition
            .get(&condition)
            .and_then(|shelf| shelf.by_subject.get(key))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn on_node(&self, condition: Condition, node: Option<&str>) -> &[&'a Episode] {
        self.by_condition
            .get(&condition)
            .zip(node)
            .and_then(|(shelf, node)| shelf.by_node.get(node))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Episodes of `condition` that stand in this relation to the effect; `key` is that of the effect's subject.
    pub(super) fn related(
        &self,
        relation: Relation,
        condition: Condition,
        world: &World,
        effect: &Episode,
        key: &str,
    ) -> Vec<&'a Episode> {
        let same = || self.about(condition, key).iter().copied();
        let callees = || {
            let keys = callees(world, effect, key);
            keys.into_iter()
                .flat_map(|callee| self.about(condition, &callee).to_vec())
        };
        match relation {
            Relation::Same => same().collect(),
            Relation::Process => same()
                .filter(|cause| is_same_process(&cause.subject, &effect.subject))
                .collect(),
            Relation::Callee => callees().collect(),
            Relation::CalleeOrSame => same().chain(callees()).collect(),
            Relation::Node => self.on_node(condition, effect.subject.node.as_deref()).to_vec(),
        }
    }
}

/// Whom the effect's subject called when it suffered; all that it calls, where that is not known.
fn callees(world: &World, effect: &Episode, key: &str) -> Vec<String> {
    match &effect.object {
        Some(object) => vec![object.key()],
        None => world.callees(key).map(ToOwned::to_owned).collect(),
    }
}

/// The keys are equal already.
fn is_same_process(one: &Entity, other: &Entity) -> bool {
    let (Some(one_process), Some(other_process)) = (&one.process, &other.process) else {
        return false;
    };
    one.node == other.node && one_process.pid == other_process.pid
}
