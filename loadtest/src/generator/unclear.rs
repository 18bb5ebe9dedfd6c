//! What has no cause that anybody could name: changes without an effect, and calls that fail for some seconds and are well again.

use super::graph::{Graph, Tier};
use super::innocents;
use super::numbers::Dice;
use super::plan::Family;
use super::world::{Behaviour, Change};

/// Calls a second of whom trouble comes over: with fewer, some seconds of it may be nothing.
const LEAST_RATE: f64 = 4.0;
/// It passes after so many seconds.
const LASTS: (f64, f64) = (2.0, 6.0);

/// What is done and after how many seconds, of a family that is unclear; nothing where it does not fit into the system.
pub(super) fn of(family: Family, graph: &mut Graph, dice: &mut Dice) -> Option<Vec<(f64, Change)>> {
    if family == Family::Harmless {
        Some(harmless(graph, dice))
    } else if family == Family::Passing {
        passing(graph, dice)
    } else {
        Some(Vec::new())
    }
}

/// Rollouts and nothing else; or while some of the requests to one of those, or to somebody else, fail as they always do.
fn harmless(graph: &mut Graph, dice: &mut Dice) -> Vec<(f64, Change)> {
    let times: Vec<f64> = (0..dice.whole(1, 3)).map(|_| dice.between(0.0, 40.0)).collect();
    let rollouts = times
        .into_iter()
        .filter_map(|at| Some((at, innocents::rollout(graph, dice, |_| true)?)));
    let changes: Vec<_> = rollouts.collect();
    if dice.chance(0.5) {
        let first = changes.first().and_then(|(_, change)| change.rolled_out());
        let noisy = first.filter(|_| dice.chance(0.5));
        if let Some(noisy) = noisy.or_else(|| innocents::any(graph, dice, |_| true)) {
            graph.services[noisy].noise = dice.scaled(0.01, 0.08);
        }
    }
    changes
}

/// Nobody did anything, or somebody something elsewhere; some seconds later calls fail, for some seconds.
fn passing(graph: &Graph, dice: &mut Dice) -> Option<Vec<(f64, Change)>> {
    let may_be = |id: &usize| {
        let service = &graph.services[*id];
        service.tier == Tier::Middle && service.speaks_http() && graph.rate_of(*id) >= LEAST_RATE
    };
    let fitting: Vec<usize> = graph.services.ids().filter(may_be).collect();
    let target = dice.one_of(&fitting).copied()?;
    let decoy = innocents::rollout(graph, dice, |id| id != target).filter(|_| dice.chance(0.35));
    let at = dice.between(5.0, 40.0);
    let passes = at + dice.between(LASTS.0, LASTS.1);
    let (on, off) = trouble(graph, dice, target)?;
    let decoy = decoy.map(|change| (0.0, change));
    Some(decoy.into_iter().chain([(at, on), (passes, off)]).collect())
}

/// Trouble that comes over a service, and its end.
fn trouble(graph: &Graph, dice: &mut Dice, target: usize) -> Option<(Change, Change)> {
    let behave = |behaviour| Change::Behave {
        service: target,
        behaviour,
    };
    let well = behave(Behaviour::WELL);
    match dice.below(3) {
        0 => {
            let errors = dice.scaled(0.5, 1.0);
            Some((
                behave(Behaviour {
                    errors,
                    ..Behaviour::WELL
                }),
                well,
            ))
        }
        1 => {
            let slower = 3.0 / graph.services[target].own_seconds;
            Some((
                behave(Behaviour {
                    slower,
                    ..Behaviour::WELL
                }),
                well,
            ))
        }
        _ => {
            let from = dice.one_of(&graph.callers(target)).copied()?;
            let drop = |holds| Change::Drop {
                from,
                to: target,
                holds,
            };
            Some((drop(true), drop(false)))
        }
    }
}
