//! Processes that somebody kills from a shell, or that crash again and again by themselves.

use super::{Fault, is_busy, is_needed, root};
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, Change, Killer};

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    is_busy(graph, id) && is_needed(graph, id) && graph.services[id].tier != Tier::Front
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Fault {
    // What is up again at once is no fault that anybody has to explain.
    graph.services[target].startup_seconds = dice.between(8.0, 30.0);
    let name = graph.services[target].name.clone();
    if dice.chance(0.6) {
        let signal = dice.one_of(&[SIGKILL, SIGKILL, SIGABRT, SIGSEGV]).copied();
        let kill = || Change::Kill {
            service: target,
            killer: Killer {
                signal: signal.unwrap_or(SIGKILL),
            },
        };
        let mut done = vec![(0.0, kill())];
        if dice.chance(0.4) {
            done.push((dice.between(30.0, 45.0), kill()));
        }
        return fault(target, done, Vec::new(), &name, &["signal_sent"]);
    }
    let behave = |behaviour| Change::Behave {
        service: target,
        behaviour,
    };
    let crashing = Behaviour {
        crashes: Some(dice.scaled(1.0, 8.0)),
        ..Behaviour::WELL
    };
    let (done, undone) = (
        vec![(0.0, behave(crashing))],
        vec![(0.0, behave(Behaviour::WELL))],
    );
    fault(target, done, undone, &name, &["process_crashed", "crash_looping"])
}

fn fault(
    target: usize,
    done: Vec<(f64, Change)>,
    undone: Vec<(f64, Change)>,
    name: &str,
    conditions: &[&str],
) -> Fault {
    Fault {
        target,
        done,
        undone,
        root: root("Deployment", name, conditions),
        advice: None,
        is_observed: true,
    }
}
