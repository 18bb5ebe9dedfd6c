//! Where the true root stands among all that may have been, and who is blamed that only suffers.

use bus_schema::incident::{Candidate, Incident, NOT_OBSERVED, Step};

use super::Verdict;
use super::matching::{ends, is_unobserved_there, verdict};
use crate::campaign::scenario::Truth;

/// Place of the true root, from 1: first the root that is told, then the other candidates as the incident has them; nothing where it
/// is not among them.
pub(super) fn place_of_root(truth: &Truth, incident: &Incident, at_ns: u64) -> Option<usize> {
    if verdict(truth, incident, at_ns) == Verdict::Right {
        return Some(1);
    }
    let told = incident.root_cause();
    let candidates = incident.candidates.iter();
    let mut others = candidates.filter(|candidate| told.is_none_or(|told| !is_told(candidate, told)));
    let number = others.position(|candidate| is_root(truth, candidate))?;
    Some(number + 1 + usize::from(told.is_some()))
}

fn is_told(candidate: &Candidate, told: &Step) -> bool {
    let is_unseen = candidate.condition == NOT_OBSERVED && told.condition == NOT_OBSERVED;
    candidate.episode == Some(told.id) || is_unseen && candidate.entity == told.entity.key()
}

fn is_root(truth: &Truth, candidate: &Candidate) -> bool {
    let root = &truth.root;
    candidate.entity == format!("{}/{}/{}", root.kind, root.namespace, root.name)
        && root.conditions.contains(&candidate.condition)
}

/// Who is told as the root and only suffers, or has nothing to do with it. `all` are the truths of everything that happens at that
/// time.
pub(super) fn victim<'a>(truth: &Truth, all: &[Truth], incident: &'a Incident) -> Option<&'a str> {
    let root = incident.root_cause()?;
    let is_guilty = |truth: &Truth| ends(root).any(|end| end.label() == truth.root.name);
    if all.iter().any(is_guilty) || is_unobserved_there(truth, incident) {
        return None;
    }
    let mut blameless = truth.affected.iter().chain(&truth.blameless);
    blameless.any(|name| *name == root.label).then_some(&root.label)
}

#[cfg(test)]
mod tests;
