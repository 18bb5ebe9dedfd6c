//! The life of incidents: a tree of causes that holds something alarming opens one; it grows, merges and resolves.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::incident::State;
use bus_schema::{EventId, Incident, Severity};
use serde::{Deserialize, Serialize};

use super::compose::{Tree, compose};
use super::posterior::Forest;
use super::world::World;
use crate::condition::Condition;
use crate::rules::RuleBook;

const SECOND_NS: u64 = 1_000_000_000;
/// Symptoms that stay away for this long are gone.
const RESOLVED_AFTER_NS: u64 = 30 * SECOND_NS;
/// New symptoms of the same root within this time continue a resolved incident.
const REOPENED_WITHIN_NS: u64 = 15 * 60 * SECOND_NS;
/// Counts alone are worth a revision this often at most …
const RECOUNT_NS: u64 = 10 * SECOND_NS;
/// … and the more seldom the longer it lasts: a revision for so many parts of its age.
const RECOUNTS_OF_AGE: u64 = 8;
/// A confidence that moved by less tells nobody anything.
const CONFIDENCE_STEP: f64 = 0.05;

/// All incidents that are open, or were resolved so recently that they may continue.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Incidents {
    live: BTreeMap<EventId, Live>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Live {
    /// Newest published revision.
    incident: Incident,
    /// Episode for which it was opened.
    alarm: EventId,
    /// Episodes of its tree.
    members: BTreeSet<EventId>,
    published_ns: u64,
}

impl Live {
    fn recount_ns(&self, now_ns: u64) -> u64 {
        let age_ns = now_ns.saturating_sub(self.incident.opened_at.as_ns());
        RECOUNT_NS.max(age_ns / RECOUNTS_OF_AGE)
    }

    fn may_continue(&self, now_ns: u64) -> bool {
        self.incident.state != State::Resolved || now_ns < self.published_ns + REOPENED_WITHIN_NS
    }
}

impl Incidents {
    /// Incidents that are not resolved.
    pub(super) fn open(&self) -> usize {
        self.live
            .values()
            .filter(|live| live.incident.state != State::Resolved)
            .count()
    }

    /// Whether time alone may change something.
    pub(super) fn are_waiting(&self) -> bool {
        !self.live.is_empty()
    }

    /// The alarms of incidents that are not resolved, or may still continue.
    pub(super) fn alarms(&self, now_ns: u64) -> impl Iterator<Item = EventId> {
        let continuing = self.live.values().filter(move |live| live.may_continue(now_ns));
        continuing.map(|live| live.alarm)
    }

    /// Compares the incidents with the forest and returns the revisions to publish.
    pub(super) fn follow(
        &mut self,
        book: &RuleBook,
        world: &World,
        forest: &Forest<'_>,
        cluster: &str,
    ) -> Vec<Incident> {
        let mut revisions = Vec::new();
        let mut taken = BTreeSet::new();
        for tree in alarming_trees(forest) {
            let owners = self.owners(&tree, &taken);
            let id = match owners.first() {
                Some(id) => *id,
                None if may_open(forest, world, &tree) => new_id(forest, &tree),
                None => continue,
            };
            taken.insert(id);
            revisions.extend(
                owners
                    .iter()
                    .skip(1)
                    .filter_map(|merged| self.merge(*merged, id, world)),
            );
            let composed = compose(book, world, forest, &tree, cluster, id);
            revisions.extend(self.revise(id, &tree, composed, world));
        }
        revisions.extend(self.resolve(world));
        revisions
    }

    /// Incidents that share episodes with the tree, oldest first.
    fn owners(&self, tree: &Tree, taken: &BTreeSet<EventId>) -> Vec<EventId> {
        let shares = |live: &Live| tree.members.contains(&live.alarm) || live.members.contains(&tree.alarm);
        self.live
            .iter()
            .filter(|(id, live)| !taken.contains(id) && shares(live))
            .map(|(id, _)| *id)
            .collect()
    }

    fn revise(&mut self, id: EventId, tree: &Tree, mut next: Incident, world: &World) -> Option<Incident> {
        let now_ns = world.now_ns();
        if let Some(live) = self.live.get(&id) {
            let last = &live.incident;
            next.opened_at = last.opened_at;
            next.first_symptom_at = next.first_symptom_at.min(last.first_symptom_at);
            next.revision = last.revision + 1;
            next.state = State::Updated;
            let is_quiet = now_ns >= last_symptom_ns(world, &tree.members) + RESOLVED_AFTER_NS;
            let recount = now_ns >= live.published_ns + live.recount_ns(now_ns)
                && counts(last) != counts(&next)
                && !is_quiet;
            if (last.state == State::Resolved && is_quiet) || !(is_material(last, &next) || recount) {
                self.live.get_mut(&id)?.members.extend(&tree.members);
                return None;
            }
        }
        let live = Live {
            incident: next.clone(),
            alarm: tree.alarm,
            members: tree.members.clone(),
            published_ns: now_ns,
        };
        let alarm = self.live.get(&id).map_or(tree.alarm, |live| live.alarm);
        self.live.insert(id, Live { alarm, ..live });
        Some(next)
    }

    fn merge(&mut self, id: EventId, into: EventId, world: &World) -> Option<Incident> {
        let mut incident = self.live.remove(&id)?.incident;
        incident.revision += 1;
        incident.state = State::Merged;
        incident.merged_into = Some(into);
        incident.updated_at.0 = world.now_ns();
        Some(incident)
    }

    /// Resolves what has been quiet, and forgets what was resolved long ago.
    fn resolve(&mut self, world: &World) -> Vec<Incident> {
        let now_ns = world.now_ns();
        let mut resolved = Vec::new();
        for live in self
            .live
            .values_mut()
            .filter(|live| live.incident.state != State::Resolved)
        {
            if now_ns >= last_symptom_ns(world, &live.members) + RESOLVED_AFTER_NS {
                live.incident.revision += 1;
                live.incident.state = State::Resolved;
                live.incident.updated_at.0 = now_ns;
                live.published_ns = now_ns;
                resolved.push(live.incident.clone());
            }
        }
        for live in self.live.values_mut() {
            live.members.retain(|id| world.episodes.contains_key(id));
        }
        // While its alarm is remembered, whatever shares it is this incident.
        self.live
            .retain(|_, live| live.may_continue(now_ns) || world.episodes.contains_key(&live.alarm));
        resolved
    }
}

/// Trees of the forest that hold an error, oldest first.
fn alarming_trees(forest: &Forest<'_>) -> Vec<Tree> {
    let mut trees: BTreeMap<EventId, Tree> = BTreeMap::new();
    let mut order: Vec<_> = forest.nodes.values().map(|node| node.episode).collect();
    order.sort_by_key(|episode| (episode.start_ns, episode.id));
    for episode in order {
        let root = forest.root_of(episode.id);
        let tree = trees.entry(root).or_insert_with(|| Tree {
            root,
            alarm: EventId::default(),
            members: BTreeSet::new(),
        });
        tree.members.insert(episode.id);
        if tree.alarm == EventId::default() && episode.severity >= Severity::Error {
            tree.alarm = episode.id;
        }
    }
    let mut trees: Vec<_> = trees
        .into_values()
        .filter(|tree| tree.alarm != EventId::default())
        .collect();
    trees.sort_by_key(|tree| tree.alarm);
    trees
}

/// An alarm with a cause opens at once. One without waits until everything that may have come before it has been told.
fn may_open(forest: &Forest<'_>, world: &World, tree: &Tree) -> bool {
    let Some(alarm) = forest.nodes.get(&tree.alarm) else {
        return false;
    };
    let is_over = world.now_ns() >= last_symptom_ns(world, &tree.members) + RESOLVED_AFTER_NS;
    !is_over && (alarm.is_explained || world.now_ns() >= alarm.episode.start_ns)
}

fn new_id(forest: &Forest<'_>, tree: &Tree) -> EventId {
    let start_ns = forest
        .nodes
        .get(&tree.alarm)
        .map_or(0, |node| node.episode.start_ns);
    EventId::of_parts(start_ns, &["incident", &tree.alarm.to_string()])
}

/// When the last thing happened that was not somebody's deed.
fn last_symptom_ns(world: &World, members: &BTreeSet<EventId>) -> u64 {
    let episodes = members.iter().filter_map(|id| world.episodes.get(id));
    let symptoms =
        episodes.filter(|episode| !Condition::parse(&episode.condition).is_some_and(Condition::is_point));
    symptoms.map(|episode| episode.last_ns).max().unwrap_or(0)
}

fn is_material(last: &Incident, next: &Incident) -> bool {
    let shape =
        |incident: &Incident| -> Vec<_> { incident.steps.iter().map(|step| (step.id, step.role)).collect() };
    last.state == State::Resolved
        || last.severity != next.severity
        || (last.confidence - next.confidence).abs() >= CONFIDENCE_STEP
        || shape(last) != shape(next)
}

fn counts(incident: &Incident) -> Vec<u64> {
    incident.steps.iter().map(|step| step.count).collect()
}
