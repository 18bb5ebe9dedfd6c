//! One pod of several that fails, is slow, cannot be reached, or crashes again and again: only its share of the calls is hit, and
//! a release of the same service some minutes before was fine.

use bus_schema::incident::NOT_OBSERVED;

use super::{Fault, is_busy, is_needed, patience, root};
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, Change};

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    let service = &graph.services[id];
    let is_middle = service.tier == Tier::Middle && service.speaks_http();
    is_busy(graph, id) && is_needed(graph, id) && is_middle && service.replicas > 1
}

pub(super) fn plan(graph: &Graph, dice: &mut Dice, target: usize) -> Fault {
    let behave = |behaviour| Change::BehaveOne {
        service: target,
        behaviour,
    };
    let sort = dice.between(0.0, 1.0);
    if sort < 0.25 {
        let isolate = |holds| Change::Isolate {
            service: target,
            holds,
        };
        return fault(graph, target, isolate(true), isolate(false), &[NOT_OBSERVED]);
    }
    let (behaviour, conditions): (_, &[&str]) = if sort < 0.6 {
        let errors = dice.scaled(0.5, 1.0);
        (
            Behaviour {
                errors,
                ..Behaviour::WELL
            },
            &[NOT_OBSERVED],
        )
    } else if sort < 0.85 {
        let slower = patience(graph, target) / graph.services[target].own_seconds * dice.scaled(1.0, 4.0);
        (
            Behaviour {
                slower,
                ..Behaviour::WELL
            },
            &[NOT_OBSERVED],
        )
    } else {
        let crashes = Some(dice.scaled(0.5, 3.0));
        (
            Behaviour {
                crashes,
                ..Behaviour::WELL
            },
            &["process_crashed", "crash_looping"],
        )
    };
    fault(
        graph,
        target,
        behave(behaviour),
        behave(Behaviour::WELL),
        conditions,
    )
}

fn fault(graph: &Graph, target: usize, done: Change, undone: Change, conditions: &[&str]) -> Fault {
    Fault {
        target,
        done: vec![(0.0, done)],
        undone: vec![(0.0, undone)],
        root: root("Deployment", &graph.services[target].name, conditions),
        advice: None,
        is_observed: conditions != [NOT_OBSERVED],
    }
}
