//! A `ConfigMap` with which all its readers fail: after a restart, or as soon as they read it again.

use super::{Fault, is_busy, root};
use crate::campaign::scenario::Advice;
use crate::generator::graph::{Config, Graph};
use crate::generator::numbers::Dice;
use crate::generator::world::{Behaviour, Change};

fn configs(graph: &Graph, id: usize) -> Vec<usize> {
    let is_read = |config: &Config| {
        let mut readers = config.readers.iter();
        config.readers.contains(&id) && readers.all(|reader| graph.services[*reader].speaks_http())
    };
    graph
        .configs
        .ids()
        .filter(|config| is_read(&graph.configs[*config]))
        .collect()
}

pub(super) fn fits(graph: &Graph, id: usize) -> bool {
    is_busy(graph, id) && graph.services[id].speaks_http() && !configs(graph, id).is_empty()
}

pub(super) fn plan(graph: &mut Graph, dice: &mut Dice, target: usize) -> Option<Fault> {
    let config = dice.one_of(&configs(graph, target)).copied()?;
    let behaviour = Behaviour {
        errors: dice.scaled(0.3, 1.0),
        ..Behaviour::WELL
    };
    let Config { name, readers, .. } = graph.configs[config].clone();
    let is_restart = dice.chance(0.5);
    let wait = if is_restart {
        dice.between(0.1, 3.0)
    } else {
        dice.between(1.0, 15.0)
    };
    let change = |behaviour| {
        let of_reader = |service: &usize| {
            let service = *service;
            let change = if is_restart {
                Change::Template {
                    service,
                    differences: Vec::new(),
                    behaviour,
                }
            } else {
                Change::Behave { service, behaviour }
            };
            (wait, change)
        };
        let mut changes = vec![(0.0, Change::Configure { config })];
        changes.extend(readers.iter().map(of_reader));
        changes
    };
    Some(Fault {
        target,
        done: change(behaviour),
        undone: change(Behaviour::WELL),
        root: root("ConfigMap", &name, &["config_changed"]),
        advice: Some(Advice {
            contains: vec![format!("ConfigMap {name}")],
        }),
        is_observed: true,
    })
}
