//! Nobody is behind a Service any more: its workload is scaled to none, or its selector has no pods.

use super::{Fault, is_busy, is_needed, root};
use crate::campaign::scenario::Advice;
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::Change;

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    is_busy(graph, id) && is_needed(graph, id) && graph.services[id].tier != Tier::Front
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Fault {
    let service = &graph.services[target];
    let (done, undone, root, advice) = if dice.chance(0.5) {
        let scale = |replicas| Change::Scale {
            service: target,
            replicas,
        };
        let root = root("Deployment", &service.name, &["replicas_changed"]);
        (
            scale(0),
            scale(service.replicas),
            root,
            format!("scale deployment/{}", service.name),
        )
    } else {
        let select = |matches| Change::Select {
            service: target,
            matches,
        };
        let root = root("Service", &service.name, &["service_changed"]);
        (
            select(false),
            select(true),
            root,
            format!("Service {}", service.name),
        )
    };
    Fault {
        target,
        done: vec![(0.0, done)],
        undone: vec![(0.0, undone)],
        root,
        advice: Some(Advice {
            contains: vec![advice],
        }),
        is_observed: true,
    }
}
