//! The edges of what was told against the truth: which of the told ones are true, and which of the true ones are told.
//!
//! **Told** is an edge from a step to each that says it was caused by it, where the effect began after the fault. It is
//!
//! * *right* when the truth leads from where the cause stands to where the effect stands: in a chain written by hand in the order of
//!   its links, in a measured one from the root to all, and from whom is called to its callers. What a workload suffers besides the
//!   conditions that the truth names stands with that workload, as parts of one thing. A caller of whom the truth says nothing may
//!   feel what it calls: the truth lists only who suffers much.
//! * *inverted* when the truth leads the other way;
//! * *wrong* otherwise: one of the two is a stranger, a deed is none of the truth's (a rollout of somebody who suffers is a decoy), or
//!   something is told to have brought about the root.
//!
//! **True** are the edges from the root to each workload that is affected, and, in a chain written by hand, from each link to the
//! next. Told is a true edge when one incident has a step for either end and the first is among the causes of the second, directly or
//! by others.

use std::collections::BTreeSet;

use bus_schema::incident::{Incident, Step};
use bus_schema::{EventId, Severity};
use serde::Serialize;

use super::matching::{EARLIER_BY_NS, ends, is_at};
use super::order::Order;
use crate::campaign::scenario::{Link, Truth};

/// Counts of edges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Edges {
    /// Told ones that are true.
    pub right: usize,
    /// Told ones of which the truth has the opposite.
    pub inverted: usize,
    /// Told ones of which the truth has nothing.
    pub wrong: usize,
    /// True ones that are told …
    pub found: usize,
    /// … of so many.
    pub of: usize,
    /// The told ones that are not right, in words.
    pub mistakes: Vec<String>,
}

impl std::ops::AddAssign for Edges {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.inverted += other.inverted;
        self.wrong += other.wrong;
        self.found += other.found;
        self.of += other.of;
        self.mistakes.extend(other.mistakes);
    }
}

impl Edges {
    fn count(&mut self, judged: Judgement, told: &Told<'_>) {
        let mistake = match judged {
            Judgement::Right => {
                self.right += 1;
                return;
            }
            Judgement::Inverted => {
                self.inverted += 1;
                "inverted"
            }
            Judgement::Wrong => {
                self.wrong += 1;
                "wrong"
            }
        };
        let (cause, effect) = (in_words(told.cause), in_words(told.effect));
        let text = format!("{mistake} at {:.2}: {cause} → {effect}", told.strength);
        self.mistakes.push(text);
    }
}

fn in_words(step: &Step) -> String {
    format!("{} {}", step.label, step.condition)
}

/// How a told edge compares, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Judgement {
    Wrong,
    Inverted,
    Right,
}

/// Edges of the incidents of one truth. What another fault of the same time brought about is no mistake: told edges are judged by
/// `all` truths, the best counts.
pub(super) fn compare(
    truth: &Truth,
    all: &[Truth],
    order: &Order,
    incidents: &[&Incident],
    at_ns: u64,
) -> Edges {
    let chains: Vec<_> = all.iter().map(|truth| Chain::of(truth, order)).collect();
    let mut edges = Edges::default();
    for told in incidents.iter().flat_map(|incident| told(incident, at_ns)) {
        let judged = chains.iter().map(|chain| chain.judge(told.cause, told.effect));
        edges.count(judged.max().unwrap_or(Judgement::Wrong), &told);
    }
    for (cause, effect) in Chain::of(truth, order).edges() {
        edges.of += 1;
        let tells = |incident: &&&Incident| leads(incident, &cause, &effect);
        edges.found += usize::from(incidents.iter().any(|incident| tells(&incident)));
    }
    edges
}

/// A told edge.
struct Told<'a> {
    cause: &'a Step,
    effect: &'a Step,
    /// Probability that is claimed of it.
    strength: f64,
}

/// Edges of an incident whose effects began with the fault or after it.
fn told(incident: &Incident, at_ns: u64) -> impl Iterator<Item = Told<'_>> {
    let effects = incident.steps.iter();
    let new = effects.filter(move |effect| effect.start.as_ns() + EARLIER_BY_NS >= at_ns);
    new.flat_map(move |effect| {
        let causes = effect.caused_by.iter();
        causes.filter_map(move |cause| {
            Some(Told {
                cause: step(incident, cause.step)?,
                effect,
                strength: cause.strength,
            })
        })
    })
}

fn step(incident: &Incident, id: EventId) -> Option<&Step> {
    incident.steps.iter().find(|step| step.id == id)
}

/// Whether a step of the one end is among the causes of a step of the other.
fn leads(incident: &Incident, cause: &Link, effect: &Link) -> bool {
    let effects = incident.steps.iter().filter(|step| tells(step, effect));
    let mut next: Vec<&Step> = effects.collect();
    let mut passed: BTreeSet<EventId> = next.iter().map(|step| step.id).collect();
    while let Some(at) = next.pop() {
        for above in at.caused_by.iter().filter_map(|above| step(incident, above.step)) {
            if tells(above, cause) {
                return true;
            }
            if passed.insert(above.id) {
                next.push(above);
            }
        }
    }
    false
}

/// Any condition tells a link that names none.
fn tells(step: &Step, link: &Link) -> bool {
    let conditions = &link.conditions;
    is_at(step, &link.name) && (conditions.is_empty() || conditions.contains(&step.condition))
}

/// A truth as a chain, the root first.
struct Chain<'a> {
    links: Vec<Link>,
    affected: &'a [String],
    order: &'a Order,
}

/// Number of the root among the links.
const ROOT: usize = 0;

/// Where a step stands.
struct Place {
    links: Vec<usize>,
    /// Whether the links name its condition; else it is something else at the same workload.
    is_named: bool,
}

impl<'a> Chain<'a> {
    fn of(truth: &'a Truth, order: &'a Order) -> Self {
        let root = Link {
            conditions: truth.root.conditions.clone(),
            name: truth.root.name.clone(),
        };
        let is_root = |link: &&Link| {
            let mut conditions = link.conditions.iter();
            link.name == root.name && conditions.any(|condition| root.conditions.contains(condition))
        };
        let chain = truth.chain.iter();
        let others: Vec<_> = chain.skip_while(is_root).cloned().collect();
        Self {
            links: [root].into_iter().chain(others).collect(),
            affected: &truth.affected,
            order,
        }
    }

    /// Every true edge.
    fn edges(&self) -> Vec<(Link, Link)> {
        let mut edges = Vec::new();
        if self.order.is_line {
            let next = self.links.iter().skip(1);
            edges.extend(self.links.iter().cloned().zip(next.cloned()));
        }
        let Some(root) = self.links.first() else {
            return edges;
        };
        let reached = self.affected.iter().filter(|name| **name != root.name);
        edges.extend(reached.map(|name| {
            let anything = Link {
                conditions: Vec::new(),
                name: name.clone(),
            };
            (root.clone(), anything)
        }));
        edges
    }

    fn judge(&self, cause: &Step, effect: &Step) -> Judgement {
        match (self.place(cause), self.place(effect)) {
            (Some(cause), Some(effect)) => self.judge_places(&cause, &effect),
            (None, _) if is_deed(cause) => Judgement::Wrong,
            _ if is_deed(effect) => Judgement::Wrong,
            _ => self.judge_beyond(cause, effect),
        }
    }

    /// Where a step stands; nowhere for a stranger, and for a deed that the truth does not name, but at the root.
    fn place(&self, step: &Step) -> Option<Place> {
        let numbered = || self.links.iter().enumerate();
        let numbers = |is: &dyn Fn(&Link) -> bool| -> Vec<usize> {
            numbered()
                .filter(|(_, link)| is(link))
                .map(|(number, _)| number)
                .collect()
        };
        let named = numbers(&|link| tells(step, link));
        if !named.is_empty() {
            return Some(Place {
                links: named,
                is_named: true,
            });
        }
        let links = numbers(&|link| is_at(step, &link.name));
        let is_known = links.contains(&ROOT) || !links.is_empty() && !is_deed(step);
        is_known.then_some(Place {
            links,
            is_named: false,
        })
    }

    fn judge_places(&self, cause: &Place, effect: &Place) -> Judgement {
        let ways = cause.links.iter().flat_map(|from| {
            let to = effect.links.iter();
            to.map(|to| self.judge_links((*from, cause.is_named), (*to, effect.is_named)))
        });
        ways.max().unwrap_or(Judgement::Wrong)
    }

    fn judge_links(
        &self,
        (from, is_named): (usize, bool),
        (to, is_effect_named): (usize, bool),
    ) -> Judgement {
        let (Some(cause), Some(effect)) = (self.links.get(from), self.links.get(to)) else {
            return Judgement::Wrong;
        };
        let in_line = if from <= to {
            Judgement::Right
        } else {
            Judgement::Inverted
        };
        if cause.name == effect.name {
            return match (is_named, is_effect_named) {
                (true, true) => in_line,
                (false, true) if to == ROOT => Judgement::Wrong,
                _ => Judgement::Right,
            };
        }
        let is_root = |link: &Link| self.links.first().is_some_and(|root| root.name == link.name);
        match (is_root(cause), is_root(effect)) {
            _ if self.order.is_line => in_line,
            (true, _) => Judgement::Right,
            (_, true) => Judgement::Inverted,
            (false, false) => self.judge_calls(&cause.name, &effect.name),
        }
    }

    fn judge_calls(&self, cause: &str, effect: &str) -> Judgement {
        let calls = &self.order.calls;
        if calls.reach(effect, cause) {
            Judgement::Right
        } else if calls.reach(cause, effect) {
            Judgement::Inverted
        } else {
            Judgement::Wrong
        }
    }

    /// One of the two is not of the chain: whether it is a caller of somebody who is, and the edge leads to whoever calls.
    fn judge_beyond(&self, cause: &Step, effect: &Step) -> Judgement {
        let calls = &self.order.calls;
        let feels = |name: &str| {
            let mut links = self.links.iter();
            links.any(|link| link.name == name || calls.reach(name, &link.name))
        };
        let ways = ends(cause).flat_map(|from| ends(effect).map(|to| (from.label(), to.label())));
        let judged = ways.map(|(from, to)| {
            if !feels(&from) || !feels(&to) {
                Judgement::Wrong
            } else if from == to {
                Judgement::Right
            } else {
                self.judge_calls(&from, &to)
            }
        });
        judged.max().unwrap_or(Judgement::Wrong)
    }
}

/// Whether it is something that was done or that harms nobody, and not something that is suffered.
fn is_deed(step: &Step) -> bool {
    step.severity < Severity::Warning
}

#[cfg(test)]
mod tests;
