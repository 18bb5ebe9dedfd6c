//! A new version with which a share of the requests fails, or those of one route.

use super::{Fault, by_rollout, is_busy};
use crate::generator::graph::Graph;
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, ROUTES};

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    is_busy(graph, id) && graph.services[id].speaks_http()
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Fault {
    let behaviour = Behaviour {
        errors: dice.scaled(0.2, 1.0),
        route: dice.chance(0.25).then(|| dice.below(ROUTES)),
        ..Behaviour::WELL
    };
    by_rollout(graph, dice, target, behaviour)
}
