//! How one incident compares with one truth.

use bus_schema::incident::{NOT_OBSERVED, Step};
use bus_schema::{Entity, Incident};

use super::Verdict;
use crate::campaign::scenario::{Link, Truth};

/// A root may seem to begin this much before the fault: the clock is read before the command that makes it.
pub(super) const EARLIER_BY_NS: u64 = 1_000_000_000;

/// Namespaces of what the campaign runs.
const NAMESPACES: [&str; 3] = ["store", "backoffice", "tapio"];
/// The unit of its users on this host.
const USERS: &str = "store-users";

/// Whether an incident speaks of the store, its users, Tapio, or of the node alone. What else runs on this host has
/// troubles of its own.
pub(super) fn is_of_campaign(incident: &Incident) -> bool {
    let is_ours =
        |entity: &Entity| NAMESPACES.contains(&entity.namespace()) || entity.label().starts_with(USERS);
    let mut entities = incident
        .steps
        .iter()
        .flat_map(|step| [Some(&step.entity), step.peer.as_ref()]);
    let mut of_node = incident
        .steps
        .iter()
        .map(|step| step.entity.key() == Entity::of_node(&step.label).key());
    entities.any(|entity| entity.is_some_and(is_ours)) || of_node.all(|is_node| is_node)
}

/// How well the root is told. What is told to have happened before the fault did not happen by it.
pub(super) fn verdict(truth: &Truth, incident: &Incident, at_ns: u64) -> Verdict {
    let Some(root) = incident.root_cause() else {
        return Verdict::Wrong;
    };
    let wanted = &truth.root;
    let is_wanted = |entity: &Entity| {
        let told = entity.identity();
        (&told.kind, &told.namespace, &told.name) == (&wanted.kind, &wanted.namespace, &wanted.name)
    };
    let is_object = ends(root).any(is_wanted);
    let is_new = root.start.as_ns() + EARLIER_BY_NS >= at_ns;
    match (is_object, is_new && wanted.conditions.contains(&root.condition)) {
        (true, true) => Verdict::Right,
        (true, false) => Verdict::Object,
        (false, _) => Verdict::Wrong,
    }
}

/// Where a step is told to be: what nobody saw may be between two.
pub(super) fn ends(step: &Step) -> impl Iterator<Item = &Entity> {
    let peer = step.peer.as_ref().filter(|_| step.condition == NOT_OBSERVED);
    [Some(&step.entity), peer].into_iter().flatten()
}

/// Whether the root is told as something that nobody saw, and is sought where it was: with the one to whom it happened, or with
/// the first that suffered.
pub(super) fn is_unobserved_there(truth: &Truth, incident: &Incident) -> bool {
    let root = incident
        .root_cause()
        .filter(|root| root.condition == NOT_OBSERVED);
    let names = [Some(&truth.root.name), truth.chain.get(1).map(|link| &link.name)];
    let is_there = |entity: &Entity| names.iter().flatten().any(|name| **name == entity.label());
    root.is_some_and(|root| ends(root).any(is_there))
}

/// Whether an incident speaks of a workload of that truth.
pub(super) fn concerns(truth: &Truth, incident: &Incident) -> bool {
    let of_chain = truth.chain.iter().map(|link| &link.name);
    let mut names = of_chain.chain(&truth.affected).chain([&truth.root.name]);
    names.any(|name| incident.steps.iter().any(|step| is_at(step, name)))
}

pub(super) fn is_at(step: &Step, name: &str) -> bool {
    ends(step).any(|end| end.label() == name)
}

/// How many links of the true chain are told in their order: the longest common subsequence with the steps.
pub(super) fn chain_found(truth: &Truth, incident: &Incident) -> usize {
    let tells =
        |step: &Step, link: &Link| is_at(step, &link.name) && link.conditions.contains(&step.condition);
    let mut best = vec![0; truth.chain.len() + 1];
    for step in &incident.steps {
        let before = best.clone();
        let mut left = 0;
        for ((link, diagonal), cell) in truth.chain.iter().zip(&before).zip(best.iter_mut().skip(1)) {
            left = (*cell).max(left).max(diagonal + usize::from(tells(step, link)));
            *cell = left;
        }
    }
    best.last().copied().unwrap_or_default()
}

/// Whether action and command contain what would heal; nothing where no command does.
pub(super) fn advice_is_right(truth: &Truth, incident: Option<&Incident>) -> Option<bool> {
    let wanted = truth.advice.as_ref()?;
    let told = incident.and_then(|incident| incident.recommendation.as_ref());
    let text = told.map(|told| format!("{}\n{}", told.action, told.command));
    Some(text.is_some_and(|text| wanted.contains.iter().all(|part| text.contains(part))))
}

/// Kind, name and condition of a step.
pub(super) fn told(step: &Step) -> String {
    format!("{} {}", step.entity.key(), step.condition)
}

/// State and sentence of an incident.
pub(super) fn sentence(incident: &Incident) -> String {
    format!(
        "{} {}: {}",
        incident.id,
        incident.state.as_str(),
        incident.narrative
    )
}
