//! Candidates compete: for each episode, how probable is each cause, and so each root.
//!
//! Every episode has one immediate cause: one of its candidate links, nothing at all (its condition's spontaneous weight),
//! or something that no observer could see (the priors of its rules, times the blindness of whoever would have seen it).
//! What was not seen is needed only as far as none of the links was at work: its weight is that of a noisy OR (Pearl 1988,
//! §4.3.2), times Π(1 − weight). The probability of each is its share of the sum, so what explains an effect well is explained
//! away for the others.
//! Roots follow by walking the causes before their effects: P(root of e is r) = Σ over causes c of P(c causes e) · P(root of c is r).

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::EventId;
use bus_schema::entity::HOST_NAMESPACE;
use bus_schema::episode::Episode;

use super::index::Index;
use super::links::{Link, candidates, fits};
use super::world::World;
use crate::condition::{Applies, Condition};
use crate::rules::{Rule, RuleBook};

/// Chains that run against the clocks are as short as the clocks' error; longer ones are cut.
const MOST_PLANTING: usize = 32;

/// One episode with its candidate causes.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// The episode.
    pub(super) episode: &'a Episode,
    /// What may have caused it, strongest first.
    pub(super) links: Vec<Link<'a>>,
    /// Whether the strongest link is more probable than no cause at all.
    pub(super) is_explained: bool,
    /// Sum of all weights.
    total: f64,
    /// Probability that none of the links was at work.
    none: f64,
    /// Probability of each root.
    roots: BTreeMap<EventId, f64>,
}

/// All episodes with their most probable causes: a forest, whose trees are candidates for incidents.
#[derive(Debug)]
pub(super) struct Forest<'a> {
    /// By episode.
    pub(super) nodes: BTreeMap<EventId, Node<'a>>,
}

impl<'a> Forest<'a> {
    /// Links all episodes of the world and lets the candidates compete.
    pub(super) fn grow(book: &'a RuleBook, world: &'a World) -> Self {
        let index = Index::of(world);
        let mut order: Vec<&Episode> = world.episodes.values().collect();
        order.sort_by_key(|episode| (episode.start_ns, episode.id));
        let mut forest = Self {
            nodes: BTreeMap::new(),
        };
        for episode in order {
            forest.plant(book, world, &index, episode, &mut BTreeSet::new());
        }
        forest
    }

    /// Links an episode, and before it those of its causes that another node's clock puts after it. Where two seem to cause
    /// each other, the one that is planted first, `planting` its causes, is the effect.
    fn plant(
        &mut self,
        book: &'a RuleBook,
        world: &'a World,
        index: &Index<'a>,
        episode: &'a Episode,
        planting: &mut BTreeSet<EventId>,
    ) {
        if self.nodes.contains_key(&episode.id) {
            return;
        }
        planting.insert(episode.id);
        let mut links = candidates(book, world, index, episode);
        for link in &links {
            if planting.len() < MOST_PLANTING && !planting.contains(&link.cause.id) {
                self.plant(book, world, index, link.cause, planting);
            }
        }
        links.retain(|link| self.nodes.contains_key(&link.cause.id));
        planting.remove(&episode.id);
        let node = self.node(book, world, episode, links);
        self.nodes.insert(episode.id, node);
    }

    /// The end of the chain of most probable causes.
    pub(super) fn root_of(&self, id: EventId) -> EventId {
        let mut root = id;
        while let Some(cause) = self.cause_of(root) {
            root = cause.cause.id;
        }
        root
    }

    /// The most probable cause, where one is more probable than none. Causes were planted first, so following them ends.
    pub(super) fn cause_of(&self, id: EventId) -> Option<&Link<'a>> {
        let node = self.nodes.get(&id)?;
        node.links.first().filter(|_| node.is_explained)
    }

    /// These and the chains of their most probable causes.
    pub(super) fn with_causes(&self, ids: impl IntoIterator<Item = EventId>) -> BTreeSet<EventId> {
        let mut all = BTreeSet::new();
        for id in ids {
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| all.insert(*id)) {
                next = self.cause_of(id).map(|link| link.cause.id);
            }
        }
        all
    }

    /// Probability that `root` is the root of `id`.
    pub(super) fn probability(&self, id: EventId, root: EventId) -> f64 {
        self.nodes
            .get(&id)
            .and_then(|node| node.roots.get(&root))
            .copied()
            .unwrap_or(0.0)
    }

    /// Probability of each immediate cause of `id`, by link.
    pub(super) fn shares(&self, id: EventId) -> impl Iterator<Item = (&Link<'a>, f64)> {
        self.nodes
            .get(&id)
            .into_iter()
            .flat_map(|node| node.links.iter().map(|link| (link, link.weight / node.total)))
    }

    /// The same happening seen from elsewhere counts as what it is part of.
    pub(super) fn absorbed_by(&self, id: EventId) -> Option<EventId> {
        self.cause_of(id)
            .filter(|link| link.rule.absorbs)
            .map(|link| link.cause.id)
    }

    /// What people are told instead of an absorbed episode; itself otherwise.
    pub(super) fn told_as(&self, id: EventId) -> EventId {
        let mut told = id;
        while let Some(whole) = self.absorbed_by(told) {
            told = whole;
        }
        told
    }

    fn node(
        &self,
        book: &'a RuleBook,
        world: &'a World,
        episode: &'a Episode,
        mut links: Vec<Link<'a>>,
    ) -> Node<'a> {
        links.sort_by(|one, other| {
            other
                .weight
                .total_cmp(&one.weight)
                .then(one.cause.id.cmp(&other.cause.id))
        });
        let spontaneous = Condition::parse(&episode.condition)
            .map_or(1.0, |condition| book.catalogue.entry(condition).spontaneous);
        let unseen: f64 = unseen_causes(book, world, episode, &links)
            .map(|(_, _, weight)| weight)
            .sum();
        let none: f64 = links.iter().map(|link| 1.0 - link.weight).product();
        let total = links.iter().map(|link| link.weight).sum::<f64>() + (spontaneous + unseen) * none;
        let mut roots = BTreeMap::from([(episode.id, spontaneous * none / total)]);
        for link in &links {
            for (root, probability) in self
                .nodes
                .get(&link.cause.id)
                .into_iter()
                .flat_map(|cause| &cause.roots)
            {
                *roots.entry(*root).or_default() += link.weight / total * probability;
            }
        }
        let is_explained = links.first().is_some_and(|link| link.weight > spontaneous * none);
        Node {
            episode,
            links,
            is_explained,
            total,
            none,
            roots,
        }
    }
}

impl Node<'_> {
    /// Probability of a cause that nobody saw, of this weight.
    pub(super) fn share_of_unseen(&self, weight: f64) -> f64 {
        weight * self.none / self.total
    }
}

/// Rules whose causes were not seen: rule, cause, and the weight that remains because nobody sees everything.
pub(super) fn unseen_causes<'a>(
    book: &'a RuleBook,
    world: &'a World,
    effect: &'a Episode,
    links: &'a [Link<'a>],
) -> impl Iterator<Item = (&'a Rule, Condition, f64)> {
    let rules = Condition::parse(&effect.condition)
        .into_iter()
        .flat_map(|condition| book.explaining(condition));
    let possible = rules.filter(|rule| fits(book, rule, effect, None));
    possible.filter_map(move |rule| {
        let seen = |cause: &Condition| links.iter().any(|link| link.cause.condition == cause.token());
        let unseen = rule
            .cause
            .iter()
            .filter(|cause| applies(book, **cause, effect) && !seen(cause));
        let weighed = unseen.map(|cause| {
            let observer = &book.catalogue.entry(*cause).observer;
            (
                *cause,
                rule.prior
                    * world
                        .coverage
                        .blindness(observer, &effect.subject, effect.start_ns),
            )
        });
        let (cause, weight) = weighed.max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some((rule, cause, weight))
    })
}

/// Whether such a cause can occur at all where the effect is.
pub(super) fn applies(book: &RuleBook, cause: Condition, effect: &Episode) -> bool {
    let on_host = effect.subject.namespace() == HOST_NAMESPACE;
    match book.catalogue.entry(cause).applies {
        Applies::Both => true,
        Applies::Host => on_host,
        Applies::Kubernetes => !on_host,
    }
}
