//! Changes that harm nobody: rollouts, restarts, scaling, jobs, peaks.

use super::graph::{Graph, Tier};
use super::numbers::Dice;
use super::world::{Behaviour, Change};

/// Peaks of users are at most so many times the usual, which the workers of every service can do.
const HIGHEST_PEAK: f64 = 2.2;

/// A rollout that changes nothing for anybody.
pub(super) fn rollout(graph: &Graph, dice: &mut Dice, may_be: impl Fn(usize) -> bool) -> Option<Change> {
    let service = any(graph, dice, may_be)?;
    Some(if dice.chance(0.7) {
        Change::Image {
            service,
            behaviour: Behaviour::WELL,
            rollback: false,
        }
    } else {
        Change::Template {
            service,
            differences: Vec::new(),
            behaviour: Behaviour::WELL,
        }
    })
}

/// A service of the cluster.
pub(super) fn any(graph: &Graph, dice: &mut Dice, may_be: impl Fn(usize) -> bool) -> Option<usize> {
    let is_own = |id: &usize| graph.services[*id].tier != Tier::Outside && may_be(*id);
    let own: Vec<usize> = graph.services.ids().filter(is_own).collect();
    dice.one_of(&own).copied()
}

/// Something harmless, with what ends it some seconds later.
pub(super) fn something(graph: &Graph, dice: &mut Dice) -> Vec<(f64, Change)> {
    let Some(service) = any(graph, dice, |_| true) else {
        return Vec::new();
    };
    let later = dice.between(15.0, 40.0);
    let now = |change: Option<Change>| change.map(|change| (0.0, change)).into_iter().collect();
    match dice.below(5) {
        0 => now(rollout(graph, dice, |_| true)),
        1 => {
            let replicas = graph.services[service].replicas;
            let other = if replicas > 1 && dice.chance(0.5) {
                replicas - 1
            } else {
                replicas + dice.whole(1, 3)
            };
            let scale = |replicas| Change::Scale { service, replicas };
            vec![(0.0, scale(other)), (later, scale(replicas))]
        }
        2 => now(Some(Change::Job {
            name: format!("nightly-{}", dice.below(100_000)),
        })),
        3 => now(Some(Change::ConfigureNobody {
            name: format!("unused-{}", dice.below(100_000)),
        })),
        _ => vec![
            (0.0, Change::Load(dice.between(1.3, HIGHEST_PEAK))),
            (later, Change::Load(1.0)),
        ],
    }
}
