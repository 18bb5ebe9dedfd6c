//! Links and the trees that they make, kept from look to look: only what changed is linked again.
//!
//! Every episode points to its most probable cause, where one is more probable than none; following the pointers leads to a
//! root, and all episodes with one root are a tree. Where causes go round in a circle, which takes two clocks or two who wait for
//! each other, the episode that began first is the root. All of it is a function of the world, however it came about.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::{EventId, Severity};

use super::index::Index;
use super::links::{Link, candidates};
use super::world::World;
use crate::condition::Condition;
use crate::rules::RuleBook;

/// One episode with its candidate causes.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// What may have caused it, strongest first.
    pub(super) links: Vec<Link>,
    /// Weight of "needs no observed cause".
    pub(super) spontaneous: f64,
    /// Probability that none of the links was at work.
    pub(super) none: f64,
    start_ns: u64,
}

/// Episodes whose most probable causes lead to the same root.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// What started it.
    pub(super) root: EventId,
    /// Its first error.
    pub(super) alarm: EventId,
    /// All of it, root included.
    pub(super) members: BTreeSet<EventId>,
}

/// All episodes with their most probable causes.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: BTreeMap<EventId, Node>,
    /// Episodes whose most probable cause is this one.
    children: BTreeMap<EventId, BTreeSet<EventId>>,
}

impl Forest {
    /// Links one episode anew; one that the world has forgotten is taken out.
    pub(super) fn link(&mut self, book: &RuleBook, world: &World, index: &Index, id: EventId) {
        self.unlink(id);
        let (Some(episode), Some(entry)) = (world.episodes.get(&id), index.entry(id)) else {
            return;
        };
        let links = candidates(book, world, index, id);
        let node = Node::new(book, entry.condition, episode.start_ns, links);
        if let Some(parent) = node.parent() {
            self.children.entry(parent.cause).or_default().insert(id);
        }
        self.nodes.insert(id, node);
    }

    fn unlink(&mut self, id: EventId) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        let Some(parent) = node.parent() else {
            return;
        };
        if let Some(children) = self.children.get_mut(&parent.cause) {
            children.remove(&id);
            if children.is_empty() {
                self.children.remove(&parent.cause);
            }
        }
    }

    /// Every episode that was linked.
    pub(super) fn ids(&self) -> impl Iterator<Item = EventId> {
        self.nodes.keys().copied()
    }

    pub(super) fn node(&self, id: EventId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The end of the chain of most probable causes.
    pub(super) fn root_of(&self, id: EventId) -> EventId {
        let mut root = id;
        while let Some(cause) = self.cause_of(root) {
            root = cause.cause;
        }
        root
    }

    /// The most probable cause, where one is more probable than none. Following it ends.
    pub(super) fn cause_of(&self, id: EventId) -> Option<&Link> {
        let node = self.nodes.get(&id)?;
        let parent = node.parent()?;
        let is_backwards = self
            .nodes
            .get(&parent.cause)
            .is_some_and(|cause| (cause.start_ns, parent.cause) > (node.start_ns, id));
        if is_backwards && self.begins_circle(id) {
            return None;
        }
        Some(parent)
    }

    /// Whether `id` stands in a circle of most probable causes and began before all others in it.
    fn begins_circle(&self, id: EventId) -> bool {
        let (mut first, mut passed) = (true, BTreeSet::new());
        let mut at = id;
        while let Some(parent) = self.nodes.get(&at).and_then(Node::parent) {
            at = parent.cause;
            if at == id {
                return first;
            }
            if !passed.insert(at) {
                return false;
            }
            let place = |id: EventId| self.nodes.get(&id).map(|node| (node.start_ns, id));
            first &= place(id) < place(at);
        }
        false
    }

    /// These and the chains of their most probable causes.
    pub(super) fn with_causes(&self, ids: impl IntoIterator<Item = EventId>) -> BTreeSet<EventId> {
        let mut all = BTreeSet::new();
        for id in ids {
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| all.insert(*id)) {
                next = self.cause_of(id).map(|link| link.cause);
            }
        }
        all
    }

    /// The tree of `root` if it holds an error.
    pub(super) fn alarming_tree(&self, world: &World, root: EventId) -> Option<Tree> {
        let members = self.members(root);
        let errors = members
            .iter()
            .filter_map(|id| world.episodes.get(id))
            .filter(|episode| episode.severity >= Severity::Error);
        let alarm = errors.map(|episode| (episode.start_ns, episode.id)).min()?.1;
        Some(Tree { root, alarm, members })
    }

    fn members(&self, root: EventId) -> BTreeSet<EventId> {
        let mut members = BTreeSet::from([root]);
        let mut next = vec![root];
        while let Some(id) = next.pop() {
            let children = self.children.get(&id).into_iter().flatten();
            next.extend(children.filter(|child| members.insert(**child)));
        }
        members
    }

    /// The same happening seen from elsewhere counts as what it is part of.
    pub(super) fn absorbed_by(&self, id: EventId) -> Option<EventId> {
        self.cause_of(id)
            .filter(|link| link.rule.absorbs)
            .map(|link| link.cause)
    }

    /// What people are told instead of an absorbed episode; itself otherwise.
    pub(super) fn told_as(&self, id: EventId) -> EventId {
        let mut told = id;
        while let Some(whole) = self.absorbed_by(told) {
            told = whole;
        }
        told
    }
}

impl Node {
    fn new(book: &RuleBook, condition: Condition, start_ns: u64, links: Vec<Link>) -> Self {
        Self {
            spontaneous: book.catalogue.row(condition).map_or(1.0, |row| row.spontaneous),
            none: links.iter().map(|link| 1.0 - link.weight).product(),
            links,
            start_ns,
        }
    }

    /// The strongest link, where it is more probable than no cause at all.
    fn parent(&self) -> Option<&Link> {
        let is_likelier = |link: &&Link| link.weight > self.spontaneous * self.none;
        self.links.first().filter(is_likelier)
    }

    /// Whether a cause is more probable than none.
    pub(super) fn is_explained(&self) -> bool {
        self.parent().is_some()
    }
}
