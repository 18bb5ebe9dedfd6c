//! Rollouts and scaling: new pods first, then the old ones are told to end, one after the other.

use anyhow::Result;

use super::{Behaviour, Due, Life, World};
use crate::generator::names;

/// From the wish for a pod to the start of its container, and between two steps, seconds.
const SCHEDULE_SECONDS: f64 = 0.5;
const STEP_SECONDS: f64 = 0.3;
/// A new pod that is not up is waited for.
const WAIT_SECONDS: f64 = 1.0;

/// Where a rollout is.
#[derive(Debug, Clone)]
pub(in crate::generator) struct Step {
    service: usize,
    /// A later rollout ends this one.
    generation: i64,
    behaviour: Behaviour,
    /// The new pod that is waited for.
    new: Option<usize>,
    /// Pods that are still to be replaced.
    old: Vec<usize>,
}

impl World {
    /// Replaces the pods of a service by others.
    pub(super) fn roll_out(&mut self, service: usize, behaviour: Behaviour) {
        self.backends[service].set = names::letters(&mut self.dice, 9);
        let backend = &mut self.backends[service];
        backend.generation += 1;
        let step = Step {
            service,
            generation: backend.generation,
            behaviour,
            new: None,
            old: backend.pods.clone(),
        };
        self.replace(step);
    }

    /// The next step of a rollout.
    pub(super) fn replace(&mut self, mut step: Step) {
        if self.backends[step.service].generation != step.generation {
            return;
        }
        let Some(old) = step.old.first().copied() else {
            return;
        };
        let wait = match step.new {
            None => {
                let pod = self.start_pod(step.service, step.behaviour);
                step.new = Some(pod);
                SCHEDULE_SECONDS + self.graph.services[step.service].startup_seconds + STEP_SECONDS
            }
            Some(new) if self.replicas[new].life == Life::Up => {
                step.old.remove(0);
                step.new = None;
                self.drain(old);
                STEP_SECONDS
            }
            Some(_) => WAIT_SECONDS,
        };
        self.after(wait, Due::Replace(step));
    }

    fn start_pod(&mut self, service: usize, behaviour: Behaviour) -> usize {
        let pod = self.new_pod(service, behaviour);
        let startup = self.graph.services[service].startup_seconds;
        self.after(SCHEDULE_SECONDS + startup, Due::Up { pod, run: 0 });
        pod
    }

    /// So many pods are wanted.
    pub(super) fn scale(&mut self, service: usize, replicas: usize) -> Result<()> {
        let before = self.backends[service].pods.clone();
        for pod in before.iter().skip(replicas) {
            self.drain(*pod);
        }
        for _ in before.len()..replicas {
            self.start_pod(service, Behaviour::WELL);
        }
        let (is_none, was_none) = (replicas == 0, before.is_empty());
        if is_none != was_none {
            let name = self.graph.services[service].name.clone();
            let pods = self.backends[service].pods.iter();
            let mut nodes: Vec<_> = pods
                .map(|pod| self.graph.nodes[self.replicas[*pod].node].as_str())
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            self.topology.runs_on(&mut self.bus, &name, &nodes, self.now_ns)?;
            self.topology
                .selects(&mut self.bus, &name, !is_none, self.now_ns)?;
        }
        Ok(())
    }
}
