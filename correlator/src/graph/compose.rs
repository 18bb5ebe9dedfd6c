//! Writes a tree of causes down as an incident.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::episode::Episode;
use bus_schema::incident::{CausedBy, Completeness, Impact, Recommendation, Role, State, Step};
use bus_schema::{EventId, Incident, Severity, Timestamp};

use super::posterior::Forest;
use super::retell::Retold;
use super::world::World;
use super::{narrative, reject};
use crate::condition::Condition;
use crate::rules::RuleBook;

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

/// The first revision of an incident; the caller knows about earlier ones.
pub(super) fn compose(
    book: &RuleBook,
    world: &World,
    forest: &Forest<'_>,
    tree: &Tree,
    cluster: &str,
    id: EventId,
) -> Incident {
    let steps = steps(book, forest, tree);
    let root = steps.iter().find(|step| step.id == tree.root);
    // An urgent report runs ahead of the watermark.
    let now = steps
        .iter()
        .map(|step| step.last)
        .fold(Timestamp(world.now_ns()), Timestamp::max);
    Incident {
        id,
        revision: 1,
        state: State::Open,
        severity: steps.iter().map(|step| step.severity).max().unwrap_or_default(),
        cluster: cluster.to_owned(),
        namespace: root.map_or("", |root| root.entity.namespace()).to_owned(),
        workload: root.map_or("", |root| root.label.as_str()).to_owned(),
        first_symptom_at: first_symptom(&steps),
        opened_at: now,
        updated_at: now,
        confidence: confidence(forest, tree),
        rejected: reject::rejected(book, world, forest, tree),
        impact: impact(&steps),
        completeness: completeness(book, world, forest, tree),
        recommendation: recommendation(book, forest, tree),
        narrative: narrative::sentence(book, forest, &steps),
        merged_into: None,
        steps,
    }
}

/// The members as steps in order of time, each after its cause. What is not a step: absorbed episodes, and side effects
/// that hurt nobody.
fn steps(book: &RuleBook, forest: &Forest<'_>, tree: &Tree) -> Vec<Step> {
    let shown = |id: &EventId| {
        forest.absorbed_by(*id).is_none() && (*id == tree.root || leads_to_harm(forest, tree, *id))
    };
    let episodes = tree
        .members
        .iter()
        .filter(|id| shown(id))
        .filter_map(|id| forest.nodes.get(id))
        .map(|node| node.episode);
    let cause_of = |id| Some(forest.told_as(forest.cause_of(id)?.cause.id));
    let retold = Retold::new(tree.root, episodes, cause_of);
    let causes: BTreeSet<EventId> = tree
        .members
        .iter()
        .filter_map(|id| Some((*id, cause_of(*id)?)))
        .filter(|(effect, cause)| retold.by(*effect) != retold.by(*cause))
        .map(|(_, cause)| retold.by(cause))
        .collect();
    let mut steps: Vec<Step> = retold
        .episodes()
        .map(|episode| step(book, forest, tree, &retold, &causes, episode))
        .collect();
    steps.sort_by_key(|step| (step.start, step.depth, step.id));
    steps
}

/// Whether the episode or something it caused is at least a warning.
fn leads_to_harm(forest: &Forest<'_>, tree: &Tree, id: EventId) -> bool {
    let harmful = |id: &EventId| {
        forest
            .nodes
            .get(id)
            .is_some_and(|node| node.episode.severity >= Severity::Warning)
    };
    tree.members
        .iter()
        .filter(|member| harmful(member))
        .any(|member| chain(forest, *member).contains(&id))
}

/// The episode and its causes up to the root.
fn chain(forest: &Forest<'_>, id: EventId) -> Vec<EventId> {
    let mut chain = vec![id];
    while let Some(link) = chain.last().and_then(|last| forest.cause_of(*last)) {
        chain.push(link.cause.id);
    }
    chain
}

fn step(
    book: &RuleBook,
    forest: &Forest<'_>,
    tree: &Tree,
    retold: &Retold,
    causes: &BTreeSet<EventId>,
    episode: &Episode,
) -> Step {
    let entry = Condition::parse(&episode.condition).map(|condition| book.catalogue.entry(condition));
    let render = |template: Option<&String>| {
        template
            .map(|text| book.catalogue.render(text, episode))
            .unwrap_or_default()
    };
    let role = match (episode.id == tree.root, causes.contains(&episode.id)) {
        (true, _) => Role::RootCause,
        (false, true) => Role::Intermediate,
        (false, false) => Role::Symptom,
    };
    Step {
        id: episode.id,
        condition: episode.condition.clone(),
        name: render(entry.map(|entry| &entry.name)),
        role,
        depth: depth(forest, episode.id),
        severity: episode.severity,
        entity: episode.subject.clone(),
        label: episode.subject.label(),
        peer: episode.object.clone(),
        start: Timestamp(episode.start_ns),
        last: Timestamp(episode.last_ns),
        count: episode.count,
        text: render(entry.map(|entry| &entry.text)),
        caused_by: caused_by(forest, tree, retold, episode.id),
        facts: episode.facts.clone(),
        evidence: episode.evidence.clone(),
    }
}

fn depth(forest: &Forest<'_>, id: EventId) -> u32 {
    let steps = chain(forest, id)
        .into_iter()
        .filter(|id| forest.absorbed_by(*id).is_none())
        .count();
    u32::try_from(steps).unwrap_or(u32::MAX).saturating_sub(1)
}

/// The causes of a step within the same tree, strongest first. An absorbed cause stands for what absorbed it.
fn caused_by(forest: &Forest<'_>, tree: &Tree, retold: &Retold, id: EventId) -> Vec<CausedBy> {
    /// Below this share a further cause is noise.
    const LEAST_SHARE: f64 = 0.05;
    let mut causes: Vec<CausedBy> = Vec::new();
    if id == tree.root {
        return causes;
    }
    for (link, share) in forest
        .shares(id)
        .filter(|(link, _)| tree.members.contains(&link.cause.id))
    {
        let step = retold.by(forest.told_as(link.cause.id));
        if step == id {
            continue;
        }
        match causes.iter_mut().find(|cause| cause.step == step) {
            Some(known) => known.strength = (known.strength + share).min(1.0),
            None if share >= LEAST_SHARE => {
                let (rule, mechanism) = (link.rule.id.clone(), link.rule.mechanism.clone());
                causes.push(CausedBy {
                    step,
                    rule,
                    mechanism,
                    strength: share,
                });
            }
            None => {}
        }
    }
    causes
}

/// Mean probability of the root over everything in the tree that is at least an error.
#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn confidence(forest: &Forest<'_>, tree: &Tree) -> f64 {
    let alarming = |id: &&EventId| {
        forest
            .nodes
            .get(id)
            .is_some_and(|node| node.episode.severity >= Severity::Error)
    };
    let is_step = |id: &&EventId| forest.absorbed_by(**id).is_none();
    let alarms: Vec<_> = tree.members.iter().filter(alarming).filter(is_step).collect();
    let sum: f64 = alarms.iter().map(|id| forest.probability(**id, tree.root)).sum();
    sum / alarms.len().max(1) as f64
}

fn first_symptom(steps: &[Step]) -> Timestamp {
    let errors = steps.iter().filter(|step| step.severity >= Severity::Error);
    errors.map(|step| step.start).min().unwrap_or_default()
}

/// 100 × (1 − Π (1 − harm)): each workload adds its worst harm to what is still whole.
fn impact(steps: &[Step]) -> Impact {
    let mut worst: BTreeMap<&str, Severity> = BTreeMap::new();
    let mut workloads: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.severity >= Severity::Warning) {
        let known = worst.entry(&step.label).or_default();
        *known = step.severity.max(*known);
        if !workloads.contains(&step.label) {
            workloads.push(step.label.clone());
        }
    }
    let whole: f64 = worst.values().map(|severity| 1.0 - harm(*severity)).product();
    let depth = steps.iter().map(|step| step.depth).max().unwrap_or(0);
    Impact {
        score: (100.0 * (1.0 - whole)).round(),
        workloads,
        depth,
    }
}

/// Share of a workload's use that its users lose.
fn harm(severity: Severity) -> f64 {
    match severity {
        Severity::Info | Severity::Notice => 0.0,
        Severity::Warning => 0.1,
        Severity::Error => 0.3,
        Severity::Critical => 0.6,
    }
}

/// Looks at every observer that a rule of this tree asks for.
fn completeness(book: &RuleBook, world: &World, forest: &Forest<'_>, tree: &Tree) -> Completeness {
    let mut blind = BTreeSet::new();
    let mut least = 1.0_f64;
    let mut window = (u64::MAX, 0);
    for episode in tree
        .members
        .iter()
        .filter_map(|id| forest.nodes.get(id))
        .map(|node| node.episode)
    {
        window = (window.0.min(episode.start_ns), window.1.max(episode.last_ns));
        let rules = Condition::parse(&episode.condition)
            .into_iter()
            .flat_map(|condition| book.explaining(condition));
        let causes = rules
            .flat_map(|rule| &rule.cause)
            .filter(|cause| super::posterior::applies(book, **cause, episode));
        for observer in causes.map(|cause| book.catalogue.entry(*cause).observer.as_str()) {
            let unseen = world
                .coverage
                .blindness(observer, &episode.subject, episode.start_ns);
            least = least.min(1.0 - unseen);
            blind.extend(
                world
                    .coverage
                    .complaint(observer, &episode.subject, episode.start_ns),
            );
        }
    }
    let lost_events = world.coverage.lost_between(window.0, window.1);
    let score = if blind.is_empty() && lost_events == 0 {
        1.0
    } else {
        least
    };
    Completeness {
        score,
        lost_events,
        blind: blind.into_iter().collect(),
    }
}

fn recommendation(book: &RuleBook, forest: &Forest<'_>, tree: &Tree) -> Option<Recommendation> {
    let root = forest.nodes.get(&tree.root)?.episode;
    let advice = book
        .advice
        .iter()
        .find(|advice| advice.root.token() == root.condition)?;
    let render = |template: &str| book.catalogue.render(template, root);
    Some(Recommendation {
        action: render(&advice.action),
        command: render(&advice.command),
        precheck: render(&advice.precheck),
        healed_when: render(&advice.healed_when),
    })
}
