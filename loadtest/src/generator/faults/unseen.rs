//! Causes that no observer reports: packets dropped between two, or somebody outside of the cluster who fails. What can be told is
//! who suffers first, and that nobody saw why.

use bus_schema::incident::NOT_OBSERVED;

use super::{Fault, LEAST_RATE, root};
use crate::generator::graph::{Call, Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, Change};

fn calls(graph: &Graph, id: usize) -> Vec<Call> {
    let is_felt = |call: &&Call| !call.is_optional && graph.rate_of(id) * call.share >= LEAST_RATE;
    graph.services[id].calls.iter().filter(is_felt).cloned().collect()
}

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    graph.services[id].speaks_http() && !calls(graph, id).is_empty()
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Option<Fault> {
    let felt = calls(graph, target);
    let is_outside = |call: &&Call| graph.services[call.to].tier == Tier::Outside;
    let outside = felt.iter().find(is_outside).filter(|_| dice.chance(0.7));
    if let Some(call) = outside {
        return Some(outage(graph, dice, target, call));
    }
    let to = dice.one_of(&felt)?.to;
    let drop = |holds| Change::Drop {
        from: target,
        to,
        holds,
    };
    Some(fault(graph, target, drop(true), drop(false)))
}

fn outage(graph: &Graph, dice: &mut Dice, target: usize, call: &Call) -> Fault {
    let service = call.to;
    let outside = &graph.services[service];
    let behave = |behaviour| Change::Behave { service, behaviour };
    let listens = |holds| Change::Outage { service, holds };
    let well = || behave(Behaviour::WELL);
    match dice.below(3) {
        0 => fault(graph, target, listens(true), listens(false)),
        1 => {
            let errors = Behaviour {
                errors: dice.scaled(0.4, 1.0),
                ..Behaviour::WELL
            };
            fault(graph, target, behave(errors), well())
        }
        _ => {
            let slow = Behaviour {
                slower: call.timeout_seconds / outside.own_seconds * dice.scaled(1.5, 6.0),
                ..Behaviour::WELL
            };
            fault(graph, target, behave(slow), well())
        }
    }
}

fn fault(graph: &Graph, target: usize, done: Change, undone: Change) -> Fault {
    Fault {
        target,
        done: vec![(0.0, done)],
        undone: vec![(0.0, undone)],
        root: root("Deployment", &graph.services[target].name, &[NOT_OBSERVED]),
        advice: None,
        is_observed: false,
    }
}
