//! A beginning that nobody saw, told as a step of its own before everything that was seen.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::incident::{Candidate, CausedBy, NOT_OBSERVED, Role, Step};
use bus_schema::{Entity, EventId, Severity, Timestamp};

use super::super::View;
use super::super::forest::Tree;
use super::super::posterior::{Posterior, Root};

/// Something that is likelier to have begun it than what was seen.
pub(super) struct Unobserved {
    place: Entity,
    /// Who suffers from it alone; it may as well be on the way.
    caller: Option<Entity>,
    /// Mean probability over all that is suffered, uncalibrated.
    pub(super) probability: f64,
}

/// The likeliest place of a cause that nobody saw, where it is likelier than the root of the tree.
pub(super) fn likelier(
    view: View<'_>,
    posterior: &Posterior,
    tree: &Tree,
    suffered: &BTreeSet<EventId>,
) -> Option<Unobserved> {
    // what was done has no cause that could be sought
    let root = view.world.episodes.get(&tree.root)?;
    let catalogue = &view.book.catalogue;
    if catalogue.is_point(root) && !catalogue.is_symptom(root) {
        return None;
    }
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let mut seen = 0.0;
    for (root, probability) in suffered.iter().flat_map(|id| posterior.roots_of(*id)) {
        match root {
            Root::Unseen(place, _) => *sums.entry(place).or_default() += probability,
            Root::Seen(id) if *id == tree.root => seen += probability,
            Root::Seen(_) | Root::Elsewhere => {}
        }
    }
    let (place, sum) = sums.into_iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    if sum <= seen {
        return None;
    }
    let (place, caller) = ends(view, tree, place)?;
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let probability = sum / suffered.len().max(1) as f64;
    Some(Unobserved {
        place,
        caller,
        probability,
    })
}

/// The entity with this key, and who calls it, where only one does of those that are told of.
fn ends(view: View<'_>, tree: &Tree, place: &str) -> Option<(Entity, Option<Entity>)> {
    let (mut found, mut callers, mut is_itself) = (None, BTreeMap::new(), false);
    for episode in tree.members.iter().filter_map(|id| view.world.episodes.get(id)) {
        let object = episode.object.as_ref().filter(|object| object.key() == place);
        if let Some(object) = object {
            callers.insert(episode.subject.key(), episode.subject.clone());
            found = found.or_else(|| Some(object.clone()));
        } else if episode.subject.key() == place {
            is_itself = true;
            found = found.or_else(|| Some(episode.subject.clone()));
        }
        let node = episode.subject.node.as_deref().map(Entity::of_node);
        found = found.or_else(|| node.filter(|node| node.key() == place));
    }
    let caller = if is_itself || callers.len() > 1 {
        None
    } else {
        callers.into_values().next()
    };
    Some((found?, caller))
}

impl Unobserved {
    /// Puts it before the steps that were seen.
    pub(super) fn begin(&self, steps: &mut Vec<Step>) {
        let Some(first) = steps.iter().find(|step| step.role == Role::RootCause) else {
            return;
        };
        let own = self.step(first);
        let causes: BTreeSet<_> = steps
            .iter()
            .flat_map(|step| step.caused_by.iter().map(|cause| cause.step))
            .collect();
        for step in &mut *steps {
            if step.depth == 0 {
                step.caused_by.push(CausedBy {
                    step: own.id,
                    rule: NOT_OBSERVED.to_owned(),
                    mechanism: "nothing that was seen explains it".to_owned(),
                    strength: self.probability.min(1.0),
                });
            }
            step.depth += 1;
            if step.role == Role::RootCause {
                let is_cause = causes.contains(&step.id);
                step.role = if is_cause {
                    Role::Intermediate
                } else {
                    Role::Symptom
                };
            }
        }
        steps.insert(0, own);
    }

    fn step(&self, first: &Step) -> Step {
        let key = self.place.key();
        Step {
            id: EventId::of_parts(first.start.as_ns(), &[NOT_OBSERVED, &key, &first.id.to_string()]),
            condition: NOT_OBSERVED.to_owned(),
            name: "NotObserved".to_owned(),
            role: Role::RootCause,
            depth: 0,
            severity: Severity::Notice,
            entity: self.place.clone(),
            label: self.place.label(),
            peer: self.caller.clone(),
            pods: Vec::new(),
            nodes: Vec::new(),
            start: first.start,
            last: Timestamp(first.start.as_ns()),
            count: 1,
            text: format!("something that nobody saw {}", self.whereabouts()),
            caused_by: Vec::new(),
            facts: BTreeMap::new(),
            evidence: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    /// Whether that candidate is the same.
    pub(super) fn is(&self, candidate: &Candidate) -> bool {
        candidate.condition == NOT_OBSERVED && candidate.entity == self.place.key()
    }

    /// `in stock`, `between cart and stock`.
    pub(super) fn whereabouts(&self) -> String {
        let label = self.place.label();
        match &self.caller {
            Some(caller) => format!("between {} and {label}", caller.label()),
            None => format!("in {label}"),
        }
    }
}
