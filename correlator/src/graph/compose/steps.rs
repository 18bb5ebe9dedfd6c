//! The episodes of a tree as steps: which are told, which are told as one, and which only counted because there are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::episode::Episode;
use bus_schema::incident::{CausedBy, Omitted, Role, Step};
use bus_schema::{EventId, Severity, Timestamp};

use super::super::View;
use super::super::forest::Tree;
use super::super::links::Link;
use super::super::retell::Retold;

/// Most steps of an incident. More than these nobody reads, and with all that each says they stay far below what a message
/// of the bus may hold.
const MOST_STEPS: usize = 100;
/// Most workloads and events that are named of what is left out.
const MOST_NAMED: usize = 200;

/// What of a tree is told.
#[derive(Debug)]
pub(in crate::graph) struct Told {
    root: EventId,
    /// Members whose step is told, and those that are told by it.
    members: BTreeSet<EventId>,
    retold: Retold,
    episodes: Vec<Arc<Episode>>,
    left_out: Vec<Arc<Episode>>,
}

impl Told {
    /// What is not a step: absorbed episodes, and side effects that hurt nobody.
    pub(super) fn of(view: View<'_>, tree: &Tree) -> Self {
        let harmful = tree.members.iter().filter(|id| is_harmful(view, **id));
        let leads_to_harm = view.forest.with_causes(harmful.copied());
        let is_told = |id: &EventId| {
            view.forest.absorbed_by(*id).is_none() && (*id == tree.root || leads_to_harm.contains(id))
        };
        let told = tree.members.iter().filter(|id| is_told(id));
        let episodes = told.filter_map(|id| view.world.episodes.get(id));
        let is_point = |episode: &Episode| view.book.catalogue.is_point(episode);
        let retold = Retold::new(tree.root, episodes, is_point, |id| cause_of(view, id));
        let essential = view.forest.with_causes([tree.alarm]);
        let mut episodes: Vec<_> = retold.episodes().map(Arc::clone).collect();
        episodes.sort_by_key(|episode| {
            let is_side = !essential.contains(&episode.id);
            (
                is_side,
                std::cmp::Reverse(episode.severity),
                episode.start_ns,
                episode.id,
            )
        });
        let left_out = episodes.split_off(episodes.len().min(MOST_STEPS));
        let shown: BTreeSet<_> = episodes.iter().map(|episode| episode.id).collect();
        let is_member = |id: &EventId| shown.contains(&retold.by(view.forest.told_as(*id)));
        Self {
            root: tree.root,
            members: tree.members.iter().copied().filter(is_member).collect(),
            retold,
            episodes,
            left_out,
        }
    }

    /// Episodes that are told, by themselves or by another.
    pub(in crate::graph) fn members(&self) -> impl Iterator<Item = EventId> {
        self.members.iter().copied()
    }

    /// The step by which that episode is told.
    pub(super) fn told_by(&self, id: EventId) -> EventId {
        self.retold.by(id)
    }

    /// Whether that episode is told.
    pub(in crate::graph) fn contains(&self, id: EventId) -> bool {
        self.members.contains(&id)
    }

    /// The steps in order of time, each after its cause.
    pub(super) fn steps(&self, view: View<'_>) -> Vec<Step> {
        let causes: BTreeSet<EventId> = self
            .members()
            .filter_map(|id| Some((id, cause_of(view, id)?)))
            .filter(|(effect, cause)| self.retold.by(*effect) != self.retold.by(*cause))
            .map(|(_, cause)| self.retold.by(cause))
            .collect();
        let mut steps: Vec<Step> = self
            .episodes
            .iter()
            .map(|episode| self.step(view, &causes, episode))
            .collect();
        steps.sort_by_key(|step| (step.start, step.depth, step.id));
        steps
    }

    /// What there is no room for, counted, with its first events as proof.
    pub(super) fn omitted(&self) -> Option<Omitted> {
        if self.left_out.is_empty() {
            return None;
        }
        let workloads: BTreeSet<_> = self
            .left_out
            .iter()
            .map(|episode| episode.subject.label())
            .collect();
        let evidence = self
            .left_out
            .iter()
            .filter_map(|episode| episode.evidence.first());
        Some(Omitted {
            steps: self.left_out.len() as u64,
            count: self.left_out.iter().map(|episode| episode.count).sum(),
            workloads: workloads.into_iter().take(MOST_NAMED).collect(),
            evidence: evidence.copied().take(MOST_NAMED).collect(),
        })
    }

    fn step(&self, view: View<'_>, causes: &BTreeSet<EventId>, episode: &Arc<Episode>) -> Step {
        let catalogue = &view.book.catalogue;
        let row = catalogue.row_of(episode);
        let render = |template: Option<&String>| {
            template
                .map(|text| catalogue.render(text, episode))
                .unwrap_or_default()
        };
        let role = match (episode.id == self.root, causes.contains(&episode.id)) {
            (true, _) => Role::RootCause,
            (false, true) => Role::Intermediate,
            (false, false) => Role::Symptom,
        };
        Step {
            id: episode.id,
            condition: episode.condition.clone(),
            name: render(row.map(|row| &row.name)),
            role,
            depth: depth(view, episode.id),
            severity: episode.severity,
            entity: episode.subject.clone(),
            label: episode.subject.label(),
            peer: episode.object.clone(),
            pods: episode.pods.clone(),
            nodes: episode.nodes.clone(),
            start: Timestamp(episode.start_ns),
            last: Timestamp(episode.last_ns),
            count: episode.count,
            text: render(row.map(|row| &row.text)),
            caused_by: self.caused_by(view, episode.id),
            facts: episode.facts.clone(),
            evidence: episode.evidence.clone(),
            exemplars: episode.exemplars.clone(),
        }
    }

    /// The causes of a step that are told too, strongest first. An absorbed cause stands for what absorbed it.
    fn caused_by(&self, view: View<'_>, id: EventId) -> Vec<CausedBy> {
        /// Below this share a further cause is noise.
        const LEAST_SHARE: f64 = 0.05;
        let mut causes: BTreeMap<EventId, (f64, &Link)> = BTreeMap::new();
        if id == self.root {
            return Vec::new();
        }
        let node = view.forest.node(id);
        let told = |link: &&Link| !link.rule.joins && self.contains(link.cause);
        for link in node.into_iter().flat_map(|node| &node.links).filter(told) {
            let step = self.retold.by(view.forest.told_as(link.cause));
            if step != id {
                causes.entry(step).or_insert((0.0, link)).0 += link.share;
            }
        }
        let mut causes: Vec<_> = causes
            .into_iter()
            .filter(|(_, (share, _))| *share >= LEAST_SHARE)
            .map(|(step, (share, link))| CausedBy {
                step,
                rule: link.rule.id.clone(),
                mechanism: link.rule.mechanism.clone(),
                strength: share.min(1.0),
            })
            .collect();
        causes.sort_by(|one, other| {
            other
                .strength
                .total_cmp(&one.strength)
                .then(one.step.cmp(&other.step))
        });
        causes
    }
}

fn is_harmful(view: View<'_>, id: EventId) -> bool {
    let episode = view.world.episodes.get(&id);
    episode.is_some_and(|episode| episode.severity >= Severity::Warning)
}

/// What is told as the cause of an episode; company is no cause.
fn cause_of(view: View<'_>, id: EventId) -> Option<EventId> {
    let link = view.forest.cause_of(id).filter(|link| !link.rule.joins)?;
    Some(view.forest.told_as(link.cause))
}

/// Steps between the episode and where its chain begins.
fn depth(view: View<'_>, id: EventId) -> u32 {
    let mut depth = 0;
    let mut at = id;
    while let Some(link) = view.forest.cause_of(at) {
        depth += u32::from(!link.rule.joins && !link.rule.absorbs);
        at = link.cause;
    }
    depth
}
