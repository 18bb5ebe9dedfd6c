//! Links and the trees that they make, kept from look to look: only what changed is linked again, and only what shares a suspect
//! with it is judged again.
//!
//! Every episode points to its most probable cause, where one is more probable than none, or to what the same thing that nobody
//! saw has brought about before; following the pointers leads to a root, and all episodes with one root are a tree. Where causes
//! go round in a circle, which takes two clocks or two who wait for each other, the episode that began first is the root. All of
//! it is a function of the world, however it came about.

mod beside;
mod node;
mod origin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::{EventId, Severity};

use super::faults::{Charges, Faults, Group, Suspect};
use super::index::Index;
use super::links::{Link, candidates};
use super::unseen;
use super::world::World;
use crate::rules::{Rule, RuleBook};
use beside::Beside;
pub(super) use node::Node;
use origin::Origin;

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
    /// Episodes that have a link to this one.
    dependents: BTreeMap<EventId, BTreeSet<EventId>>,
    beside: Beside,
    /// Episodes whose most probable cause may be another, by when they began.
    unsettled: BTreeSet<(u64, EventId)>,
    faults: Faults,
    /// What is told of each suspect, the part first that stands for all.
    edits: BTreeMap<Suspect, Vec<EventId>>,
}

impl Forest {
    /// Links one episode anew, which is then to be judged; one that the world has forgotten is taken out.
    pub(super) fn link(&mut self, book: &RuleBook, world: &World, index: &Index, id: EventId) {
        let (Some(episode), Some(entry)) = (world.episodes.get(&id), index.entry(id)) else {
            self.unlink(id);
            return;
        };
        let links = candidates(book, world, index, id);
        let causes = unseen::causes(book, world, index, episode, &links);
        let missed = unseen::missed(causes, episode);
        let row = book.catalogue.row(entry.condition);
        let is_symptom = book.catalogue.is_symptom(episode);
        let node = Node::new(episode, row, links, missed).caused_by_someone(is_symptom.then_some(episode));
        let charges = node.charges(episode);
        if self.is_linked_so(id, &node, &charges) {
            return;
        }
        let mut former = self.take_node(id);
        if let Some(former) = former.as_mut()
            && let Some(place) = former.unseen_at.take()
        {
            // it may have begun at another time than was known
            self.leave(&place, (former.began_ns, id));
        }
        // until it is judged
        let node = node.instead_of(former);
        for link in &node.links {
            self.dependents.entry(link.cause).or_default().insert(id);
        }
        self.nodes.insert(id, node);
        self.faults.charge(id, charges);
    }

    /// Whether all would be as it is: most of what may have changed has not.
    fn is_linked_so(&self, id: EventId, node: &Node, charges: &Charges) -> bool {
        let former = self.nodes.get(&id);
        former.is_some_and(|former| former.is_linked_as(node)) && self.faults.has_charged(id, charges)
    }

    fn unlink(&mut self, id: EventId) {
        self.faults.drop(id);
        self.lead(id, None);
        if let Some(node) = self.take_node(id)
            && let Some(place) = node.unseen_at
        {
            self.leave(&place, (node.began_ns, id));
        }
    }

    /// The node without what is known of its links.
    fn take_node(&mut self, id: EventId) -> Option<Node> {
        let node = self.nodes.remove(&id)?;
        for link in &node.links {
            if let Some(dependents) = self.dependents.get_mut(&link.cause) {
                dependents.remove(&id);
                if dependents.is_empty() {
                    self.dependents.remove(&link.cause);
                }
            }
        }
        Some(node)
    }

    /// An effect comes no more from what nobody saw at this place.
    fn leave(&mut self, place: &str, effect: (u64, EventId)) {
        let after = self.beside.remove(place, effect);
        self.unsettle(after);
    }

    /// The most probable causes of these are to be found anew.
    fn unsettle(&mut self, ids: impl IntoIterator<Item = EventId>) {
        let with_times = ids
            .into_iter()
            .filter_map(|id| Some((self.nodes.get(&id)?.began_ns, id)));
        self.unsettled.extend(with_times);
    }

    /// Makes `parent` the most probable cause of `id`.
    fn lead(&mut self, id: EventId, parent: Option<EventId>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut node.parent, parent);
        if let Some(before) = before
            && let Some(children) = self.children.get_mut(&before)
        {
            children.remove(&id);
            if children.is_empty() {
                self.children.remove(&before);
            }
        }
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(id);
        }
    }

    /// The next episodes that have to be judged together.
    pub(super) fn next_group(&mut self) -> Option<Group> {
        self.faults.next_group()
    }

    /// Of each edit whose effects are others than before, the part that explains most stands for all.
    /// Gives those that are told as part of something else than before, with the roots that they had.
    pub(super) fn settle_edits(&mut self, book: &RuleBook) -> Vec<(EventId, EventId)> {
        let (mut changed, same_edit) = (Vec::new(), &book.same_edit);
        for (suspect, aspects) in self.faults.take_recharged() {
            let former = if aspects.is_empty() {
                self.edits.remove(&suspect)
            } else {
                self.edits.insert(suspect, aspects.clone())
            };
            let whole = aspects.first().copied();
            for aspect in former
                .into_iter()
                .flatten()
                .filter(|former| !aspects.contains(former))
            {
                self.make_part(aspect, None, same_edit, &mut changed);
            }
            for aspect in aspects {
                let whole = whole.filter(|whole| *whole != aspect);
                self.make_part(aspect, whole, same_edit, &mut changed);
            }
        }
        changed
    }

    fn make_part(
        &mut self,
        id: EventId,
        whole: Option<EventId>,
        same_edit: &Arc<Rule>,
        changed: &mut Vec<(EventId, EventId)>,
    ) {
        let former_root = self.root_of(id);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.part_of.as_ref().map(|link| link.cause) == whole {
            return;
        }
        node.part_of = whole.map(|cause| Link::certain(cause, same_edit));
        changed.push((id, former_root));
        self.unsettle([id]);
    }

    /// Judges a group; gives those that are put down to something else than before, with the roots that they had. Their most
    /// probable causes are found when they are settled.
    pub(super) fn judge(&mut self, group: &Group) -> Vec<(EventId, EventId)> {
        let mut changed = Vec::new();
        for (id, verdict) in self.faults.judge(group) {
            let former_root = self.root_of(id);
            if self.nodes.get_mut(&id).is_some_and(|node| node.take(&verdict)) {
                changed.push((id, former_root));
                self.unsettle([id]);
            }
        }
        changed
    }

    /// Finds the most probable causes of all that were judged otherwise than before, and of what follows from that, in order of
    /// time; gives those that have another than before, with the roots that they had.
    pub(super) fn settle(&mut self, book: &RuleBook) -> Vec<(EventId, EventId)> {
        let mut changed = Vec::new();
        while let Some((_, id)) = self.unsettled.pop_first() {
            let former_root = self.root_of(id);
            if self.find_cause(&book.same_unseen, id) {
                changed.push((id, former_root));
                let follow = self.members(id);
                let follow = follow.iter().filter_map(|id| self.dependents.get(id));
                let follow: Vec<_> = follow.flatten().copied().collect();
                self.unsettle(follow);
            }
        }
        changed
    }

    /// Says whether the most probable cause is another than before.
    fn find_cause(&mut self, same_unseen: &Arc<Rule>, id: EventId) -> bool {
        let Some(node) = self.nodes.get(&id) else {
            return false;
        };
        let (effect, before) = ((node.began_ns, id), node.parent);
        let origin = origin::of(node, |link| self.head_of(link.cause, effect));
        let (cause, place) = match origin {
            Origin::Cause(cause) => (Some(cause), None),
            Origin::Unseen(place) => (None, Some(place)),
            Origin::Itself => (None, None),
        };
        self.put_to(place.as_deref(), effect);
        let beside = place.and_then(|place| self.beside.before(&place, effect));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.beside = beside.map(|cause| Link::certain(cause, same_unseen));
        }
        let parent = cause.or(beside);
        self.lead(id, parent);
        before != parent
    }

    /// Puts an effect down to what nobody saw at this place, or to nothing of the sort.
    fn put_to(&mut self, place: Option<&str>, effect: (u64, EventId)) {
        let Some(node) = self.nodes.get_mut(&effect.1) else {
            return;
        };
        let before = std::mem::replace(&mut node.unseen_at, place.map(str::to_owned));
        if before.as_deref() == place {
            return;
        }
        if let Some(before) = before {
            self.leave(&before, effect);
        }
        let after = place.and_then(|place| self.beside.insert(place, effect));
        self.unsettle(after);
    }

    /// Where the chain of a cause begins, as far as each cause began before its effect.
    fn head_of(&self, cause: EventId, effect: (u64, EventId)) -> EventId {
        let (mut head, mut follower) = (cause, effect);
        while let Some(node) = self.nodes.get(&head) {
            let at = (node.began_ns, head);
            let next = node.parent.filter(|_| at < follower);
            let Some(next) = next else { break };
            (head, follower) = (next, at);
        }
        head
    }

    /// Every episode that was linked.
    pub(super) fn ids(&self) -> impl Iterator<Item = EventId> {
        self.nodes.keys().copied()
    }

    pub(super) fn node(&self, id: EventId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Whether an episode was linked.
    pub(super) fn knows(&self, id: EventId) -> bool {
        self.nodes.contains_key(&id)
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
            .is_some_and(|cause| (cause.began_ns, parent.cause) > (node.began_ns, id));
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
            let place = |id: EventId| self.nodes.get(&id).map(|node| (node.began_ns, id));
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

    /// The tree of `root` if it holds an error. What is part of something that harms nobody is none.
    pub(super) fn alarming_tree(&self, world: &World, root: EventId) -> Option<Tree> {
        let members = self.members(root);
        let errors = members
            .iter()
            .filter_map(|id| world.episodes.get(id))
            .filter(|episode| episode.severity >= Severity::Error && self.is_suffered(world, episode.id));
        let alarm = errors.map(|episode| (episode.start_ns, episode.id)).min()?.1;
        Some(Tree { root, alarm, members })
    }

    fn is_suffered(&self, world: &World, id: EventId) -> bool {
        let told = world.episodes.get(&self.told_as(id));
        told.is_none_or(|told| told.severity >= Severity::Warning)
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
