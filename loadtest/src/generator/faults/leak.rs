//! A new version that leaks until the kernel kills it.

use super::{Fault, by_rollout, is_busy, is_needed};
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::Behaviour;

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    is_busy(graph, id) && is_needed(graph, id) && graph.services[id].tier == Tier::Middle
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Fault {
    let service = &graph.services[target];
    let behaviour = Behaviour {
        leak: (service.limit_bytes - service.memory_bytes) / dice.scaled(5.0, 25.0),
        ..Behaviour::WELL
    };
    by_rollout(graph, dice, target, behaviour)
}
