//! Faults: what is done when, how it is taken back, and what was the cause.

mod config;
mod kill;
mod leak;
mod release;
mod replica;
mod slow;
mod unseen;
mod unserved;

use bus_schema::event::kubernetes::{Aspect, Difference};

use super::graph::{Graph, NAMESPACE, Service, Tier};
use super::numbers::Dice;
use super::plan::Family;
use super::world::{Behaviour, Change};
use crate::campaign::scenario::{Advice, Root};

/// A service with fewer calls a second shows a fault too late to be asked for.
const LEAST_RATE: f64 = 1.5;

/// A fault that is going to happen.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// The service from which on others feel it.
    pub(super) target: usize,
    /// What is done, and after how many seconds.
    pub(super) done: Vec<(f64, Change)>,
    /// What takes it back, and how long after the beginning of that, seconds.
    pub(super) undone: Vec<(f64, Change)>,
    pub(super) root: Root,
    pub(super) advice: Option<Advice>,
    /// Whether an observer sees the cause.
    pub(super) is_observed: bool,
}

impl Fault {
    /// Whoever may feel it: the services that are hit, and their callers.
    pub(super) fn reached(&self, graph: &Graph) -> Vec<usize> {
        let mut reached = graph.upstream(self.target);
        for hit in self.done.iter().filter_map(|(_, change)| change.behaving()) {
            let others = graph.upstream(hit).into_iter();
            let new: Vec<_> = others.filter(|id| !reached.contains(id)).collect();
            reached.extend(new);
        }
        reached
    }
}

/// A fault of that family somewhere in the system where `may_be` allows it; nothing where none fits.
pub(super) fn fault(
    family: Family,
    graph: &mut Graph,
    dice: &mut Dice,
    may_be: impl Fn(&Graph, usize) -> bool,
) -> Option<Fault> {
    let fits: fn(&Graph, usize) -> bool = match family {
        Family::Release => release::fits,
        Family::Slow => slow::fits,
        Family::Leak => leak::fits,
        Family::Kill => kill::fits,
        Family::Unserved => unserved::fits,
        Family::Config => config::fits,
        Family::Unseen => unseen::fits,
        Family::Replica => replica::fits,
        Family::Control | Family::Harmless | Family::Passing => return None,
    };
    let all = graph.services.ids();
    let fitting: Vec<usize> = all.filter(|id| fits(graph, *id) && may_be(graph, *id)).collect();
    let target = dice.one_of(&fitting).copied()?;
    match family {
        Family::Release => Some(release::plan(graph, dice, target)),
        Family::Slow => Some(slow::plan(graph, dice, target)),
        Family::Leak => Some(leak::plan(graph, dice, target)),
        Family::Kill => Some(kill::plan(graph, dice, target)),
        Family::Unserved => Some(unserved::plan(graph, dice, target)),
        Family::Config => config::plan(graph, dice, target),
        Family::Unseen => unseen::plan(graph, dice, target),
        Family::Replica => Some(replica::plan(graph, dice, target)),
        Family::Control | Family::Harmless | Family::Passing => None,
    }
}

/// Whether a service of the cluster is called often.
fn is_busy(graph: &Graph, id: usize) -> bool {
    graph.services[id].tier != Tier::Outside && graph.rate_of(id) >= LEAST_RATE
}

/// Whether somebody calls it who cannot do without.
fn is_needed(graph: &Graph, id: usize) -> bool {
    let mut calls = graph.services.iter().flat_map(|service| &service.calls);
    calls.any(|call| call.to == id && !call.is_optional)
}

/// How long the most impatient caller waits, at most ten seconds.
fn patience(graph: &Graph, target: usize) -> f64 {
    let calls = graph.services.iter().flat_map(|service| &service.calls);
    let patience = calls
        .filter(|call| call.to == target)
        .map(|call| call.timeout_seconds);
    patience.fold(10.0, f64::min)
}

fn root(kind: &str, name: &str, conditions: &[&str]) -> Root {
    Root {
        kind: kind.into(),
        namespace: NAMESPACE.into(),
        name: name.into(),
        conditions: conditions
            .iter()
            .map(|condition| (*condition).to_owned())
            .collect(),
    }
}

fn roll_back(service: &Service) -> Advice {
    Advice {
        contains: vec![format!("rollout undo deployment/{}", service.name)],
    }
}

/// A new version, or another variable, that behaves in this way; and the way back.
fn by_rollout(graph: &Graph, dice: &mut Dice, target: usize, behaviour: Behaviour) -> Fault {
    let name = &graph.services[target].name;
    let is_image = dice.chance(0.65);
    let (condition, done, undone) = if is_image {
        let image = |behaviour, rollback| Change::Image {
            service: target,
            behaviour,
            rollback,
        };
        (
            "image_changed",
            image(behaviour, false),
            image(Behaviour::WELL, true),
        )
    } else {
        let edit = |old: &str, new: &str, behaviour| Change::Template {
            service: target,
            differences: vec![difference(name, Aspect::Environment, "MODE", old, new)],
            behaviour,
        };
        (
            "environment_changed",
            edit("", "", behaviour),
            edit("", "", Behaviour::WELL),
        )
    };
    Fault {
        target,
        done: vec![(0.0, done)],
        undone: vec![(0.0, undone)],
        root: root("Deployment", name, &[condition]),
        advice: Some(roll_back(&graph.services[target])),
        is_observed: true,
    }
}

fn difference(container: &str, aspect: Aspect, name: &str, old: &str, new: &str) -> Difference {
    Difference {
        aspect,
        container: container.into(),
        name: name.into(),
        old: Some(old.into()),
        new: Some(new.into()),
    }
}
