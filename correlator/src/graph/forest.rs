//! Links and the trees that they make, kept from look to look: only what changed is linked again, and only what shares a suspect
//! with it is judged again.
//!
//! Every episode points to its most probable cause, where one is more probable than none; following the pointers leads to a
//! root, and all episodes with one root are a tree. Where causes go round in a circle, which takes two clocks or two who wait for
//! each other, the episode that began first is the root. All of it is a function of the world, however it came about.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::episode::Episode;
use bus_schema::{EventId, Severity};

use super::faults::{AT_FAULT, Charged, Charges, Faults, Strength, Suspect, Verdict};
use super::index::Index;
use super::links::{Link, candidates};
use super::unseen;
use super::world::World;
use crate::condition::Condition;
use crate::rules::RuleBook;

/// An observer that misses less than this is not charged with each thing that it may have missed.
const LEAST_BLINDNESS: f64 = 0.2;

/// One episode with its candidate causes.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// What may have caused it, strongest first.
    pub(super) links: Vec<Link>,
    /// What nobody saw and may have caused it.
    pub(super) missed: Vec<Missed>,
    /// Probability that it needed no cause.
    pub(super) alone: f64,
    /// Weight of "needs no cause".
    spontaneous: f64,
    /// The most probable cause, where one is more probable than none.
    parent: Option<EventId>,
    start_ns: u64,
}

/// Something that an observer may have missed.
#[derive(Debug)]
pub(super) struct Missed {
    /// Who would have told of it.
    pub(super) observer: String,
    /// Key of whom it would have happened to.
    pub(super) place: String,
    /// Probability that the effect was brought about by it.
    pub(super) share: f64,
    /// Largest prior of a rule that would explain the effect by it.
    weight: f64,
    /// Probability that it was missed.
    blindness: f64,
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
    faults: Faults,
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
        let node = Node {
            missed: missed.into_iter().map(Missed::from).collect(),
            alone: 0.0,
            spontaneous: spontaneous(book, entry.condition),
            // until it is judged
            parent: self.nodes.get(&id).and_then(|node| node.parent),
            start_ns: episode.start_ns,
            links,
        };
        let is_suspect = |cause: EventId| {
            let cause = world.episodes.get(&cause);
            cause.is_some_and(|cause| book.catalogue.is_point(cause))
        };
        let mut charges = node.charges(is_suspect);
        charges.says = says(episode);
        self.nodes.insert(id, node);
        self.faults.charge(id, charges);
    }

    fn unlink(&mut self, id: EventId) {
        self.faults.drop(id);
        self.lead(id, None);
        self.nodes.remove(&id);
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
    pub(super) fn next_group(&mut self) -> Option<Vec<EventId>> {
        self.faults.next_group()
    }

    /// Judges a group; gives those that are put down to something else than before, with the roots that they had.
    pub(super) fn judge(&mut self, group: &[EventId]) -> Vec<(EventId, EventId)> {
        let mut changed = Vec::new();
        for (id, verdict) in self.faults.judge(group) {
            let former_root = self.root_of(id);
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            if node.take(&verdict) {
                changed.push((id, former_root));
            }
            let parent = node.likeliest();
            self.lead(id, parent);
        }
        changed
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
    /// Everything that may have brought it about: what was done, and what a blind observer missed, is a suspect; what was
    /// suffered was at work.
    fn charges(&self, is_suspect: impl Fn(EventId) -> bool) -> Charges {
        let mut charges = Charges {
            leak: self.spontaneous,
            ..Charges::default()
        };
        for link in &self.links {
            let strength = Strength {
                weight: link.weight,
                timeliness: link.timeliness,
            };
            if is_suspect(link.cause) {
                charges.suspects.push(Charged {
                    suspect: Suspect::Seen(link.cause),
                    strength,
                    prior: AT_FAULT,
                });
            } else {
                charges.known.push((link.cause, strength));
            }
        }
        // What nobody saw was no more and no less timely than the others.
        let usual = charges.usual_timeliness();
        for missed in &self.missed {
            if missed.blindness >= LEAST_BLINDNESS {
                charges.suspects.push(Charged {
                    suspect: Suspect::Unseen(missed.observer.clone(), missed.place.clone()),
                    strength: Strength {
                        weight: missed.weight,
                        timeliness: usual,
                    },
                    prior: AT_FAULT * missed.blindness,
                });
            } else {
                charges.leak += missed.weight * missed.blindness;
            }
        }
        charges
    }

    /// Takes note of what it is put down to; says whether that is something else than before.
    fn take(&mut self, verdict: &Verdict) -> bool {
        let before = self.shares();
        for link in &mut self.links {
            link.share = verdict.of(link.cause);
        }
        let small = self
            .missed
            .iter()
            .filter(|missed| missed.blindness < LEAST_BLINDNESS);
        let leak = self.spontaneous + small.map(|missed| missed.weight * missed.blindness).sum::<f64>();
        for missed in &mut self.missed {
            missed.share = if missed.blindness < LEAST_BLINDNESS {
                verdict.leak * missed.weight * missed.blindness / leak
            } else {
                verdict.of_unseen(&missed.observer, &missed.place)
            };
        }
        self.alone = verdict.leak * self.spontaneous / leak;
        self.shares() != before
    }

    fn shares(&self) -> Vec<u64> {
        let links = self.links.iter().map(|link| link.share);
        let missed = self.missed.iter().map(|missed| missed.share);
        let all = links.chain(missed).chain([self.alone]);
        all.map(f64::to_bits).collect()
    }

    /// The most probable cause, where one is more probable than none. Of equals the strongest and nearest.
    fn likeliest(&self) -> Option<EventId> {
        let best = self.links.iter().rev();
        let best = best.max_by(|one, other| one.share.total_cmp(&other.share))?;
        (best.share > self.alone).then_some(best.cause)
    }

    /// The link to the most probable cause.
    fn parent(&self) -> Option<&Link> {
        let parent = self.parent?;
        self.links.iter().find(|link| link.cause == parent)
    }

    /// Whether a cause is more probable than none.
    pub(super) fn is_explained(&self) -> bool {
        self.parent().is_some()
    }
}

impl From<((String, String), unseen::Missed)> for Missed {
    fn from(((observer, place), missed): ((String, String), unseen::Missed)) -> Self {
        Self {
            observer,
            place,
            share: 0.0,
            weight: missed.weight,
            blindness: missed.blindness,
        }
    }
}

fn spontaneous(book: &RuleBook, condition: Condition) -> f64 {
    book.catalogue.row(condition).map_or(1.0, |row| row.spontaneous)
}

/// Same for episodes that say the same of the same.
fn says(episode: &Episode) -> (String, String, String) {
    let object = episode.object.as_ref().map(bus_schema::Entity::key);
    (
        episode.condition.clone(),
        episode.subject.key(),
        object.unwrap_or_default(),
    )
}
