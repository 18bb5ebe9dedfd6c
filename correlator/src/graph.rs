//! Step two: episodes become causal incidents.
//!
//! The [`Graph`] keeps what was told of the last half hour, links each episode with what may have caused it, and lets the
//! candidates compete (`posterior`). Each tree of the most probable causes that holds something alarming is an incident
//! (`lifecycle`), written down for people (`compose`, `reject`, `narrative`).

mod compose;
mod coverage;
mod index;
mod lifecycle;
mod links;
#[cfg(test)]
mod mechanisms;
mod narrative;
mod posterior;
mod reject;
mod retell;
mod world;

use std::sync::Arc;

use bus_schema::Incident;
use bus_schema::episode::Report;
use bus_schema::event::node::Loss;

use lifecycle::Incidents;
use posterior::Forest;
use serde::{Deserialize, Serialize};
use world::World;

use crate::rules::RuleBook;

/// While incidents are open, time alone is looked at this often.
const LOOK_AGAIN_NS: u64 = 250_000_000;

/// Everything the causal step knows.
#[derive(Debug)]
pub struct Graph {
    book: Arc<RuleBook>,
    state: State,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    world: World,
    incidents: Incidents,
    looked_ns: u64,
}

impl Graph {
    /// A graph that takes up from `state`; [`State::default`] is the beginning.
    pub fn new(book: Arc<RuleBook>, state: State) -> Self {
        Self { book, state }
    }

    /// What a checkpoint must hold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes note that `stage` lost `count` messages for `reason`, whatever they told.
    pub fn lost(&mut self, stage: &str, reason: &str, count: u64) {
        let loss = Loss {
            observer: stage.to_owned(),
            reason: reason.to_owned(),
        };
        self.state.world.lost(loss, count);
    }

    /// Takes one report; returns the revisions of incidents that follow from it, in order.
    pub fn apply(&mut self, report: &Report) -> Vec<Incident> {
        let news = self.state.world.take(report);
        let now_ns = self.state.world.now_ns();
        let due = now_ns >= self.state.looked_ns + LOOK_AGAIN_NS && self.state.incidents.are_waiting();
        if !news && !due {
            return Vec::new();
        }
        self.state.looked_ns = now_ns;
        let world = &self.state.world;
        let forest = Forest::grow(&self.book, world);
        let revisions = self
            .state
            .incidents
            .follow(&self.book, world, &forest, &report.cluster);
        if world.may_forget() {
            let told = world.recent().chain(self.state.incidents.alarms(now_ns));
            let kept = forest.with_causes(told);
            self.state.world.forget(&kept);
        }
        revisions
    }

    /// Episodes remembered, for a metric.
    pub fn episodes(&self) -> usize {
        self.state.world.episodes.len()
    }

    /// Incidents that are not resolved, for a metric.
    pub fn open_incidents(&self) -> usize {
        self.state.incidents.open()
    }
}
