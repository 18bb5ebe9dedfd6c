//! A service that takes about as long as its most impatient caller waits: by a new version, a variable, a smaller CPU limit,
//! or by something that nobody sees.

use bus_schema::event::kubernetes::Aspect;
use bus_schema::incident::NOT_OBSERVED;

use super::{Fault, by_rollout, difference, is_busy, is_needed, patience, root};
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, Change};

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    let service = &graph.services[id];
    is_busy(graph, id) && is_needed(graph, id) && service.tier == Tier::Middle && service.speaks_http()
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Fault {
    let least = patience(graph, target);
    let behaviour = Behaviour {
        slower: least / graph.services[target].own_seconds * dice.scaled(0.7, 4.0),
        ..Behaviour::WELL
    };
    let sort = dice.between(0.0, 1.0);
    if sort < 0.55 {
        by_rollout(graph, dice, target, behaviour)
    } else if sort < 0.75 {
        by_limit(graph, target, behaviour)
    } else {
        by_itself(graph, target, behaviour)
    }
}

fn by_limit(graph: &Graph, target: usize, behaviour: Behaviour) -> Fault {
    let name = &graph.services[target].name;
    let edit = |old, new, behaviour| Change::Template {
        service: target,
        differences: vec![difference(name, Aspect::Resources, "limits.cpu", old, new)],
        behaviour,
    };
    Fault {
        target,
        done: vec![(0.0, edit("2", "50m", behaviour))],
        undone: vec![(0.0, edit("50m", "2", Behaviour::WELL))],
        root: root("Deployment", name, &["resources_changed"]),
        advice: None,
        is_observed: true,
    }
}

fn by_itself(graph: &Graph, target: usize, behaviour: Behaviour) -> Fault {
    let behave = |behaviour| Change::Behave {
        service: target,
        behaviour,
    };
    Fault {
        target,
        done: vec![(0.0, behave(behaviour))],
        undone: vec![(0.0, behave(Behaviour::WELL))],
        root: root("Deployment", &graph.services[target].name, &[NOT_OBSERVED]),
        advice: None,
        is_observed: false,
    }
}
