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
/// Up to so many episodes are looked at whenever there is news …
const FEW: usize = 500;
/// … and of more it is waited this long for each, so that a large outage is told a little later and not ever later.
const NS_AN_EPISODE: u64 = 50_000;

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
    /// Something was told since.
    #[serde(default)]
    has_news: bool,
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
        self.state.has_news |= self.state.world.take(report);
        let now_ns = self.state.world.now_ns();
        let since_ns = now_ns.saturating_sub(self.state.looked_ns);
        let by_time = since_ns >= LOOK_AGAIN_NS && self.state.incidents.are_waiting();
        let by_news = since_ns >= self.pause_ns() && self.state.has_news;
        if !by_time && !by_news {
            return Vec::new();
        }
        self.state.has_news = false;
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

    fn pause_ns(&self) -> u64 {
        self.episodes().saturating_sub(FEW) as u64 * NS_AN_EPISODE
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

#[cfg(test)]
mod tests {
    use bus_schema::episode::Episode;
    use bus_schema::{Entity, EventId, Severity};

    use super::*;
    use crate::condition::Condition;

    const START_NS: u64 = 1_700_000_000_000_000_000;

    fn refused(number: u128, severity: Severity) -> Episode {
        Episode {
            id: EventId(number),
            revision: 1,
            condition: Condition::ConnectRefused.token().to_owned(),
            severity,
            subject: Entity::of_node(&number.to_string()),
            start_ns: START_NS,
            last_ns: START_NS,
            count: 1,
            ..Episode::default()
        }
    }

    fn told(episodes: Vec<Episode>, after_ns: u64) -> Report {
        Report {
            episodes,
            watermark_ns: START_NS + after_ns,
            received_ns: START_NS + after_ns,
            ..Report::default()
        }
    }

    /// Incidents that an error opens beside so many warnings: at once, and at the heartbeat a second later.
    fn opened_beside(warnings: u128) -> (usize, usize) {
        let mut graph = Graph::new(Arc::new(RuleBook::embedded().unwrap()), State::default());
        let warnings = (1..=warnings).map(|number| refused(number, Severity::Warning));
        assert_eq!(graph.apply(&told(warnings.collect(), 1)), []);
        let error = vec![refused(9_999, Severity::Error)];
        let at_once = graph.apply(&told(error, 2)).len();
        (at_once, graph.apply(&told(Vec::new(), 1_000_000_000)).len())
    }

    #[test]
    fn a_small_world_is_looked_at_at_once_and_a_large_one_a_little_later() {
        assert_eq!(opened_beside(FEW as u128 / 2), (1, 0));
        assert_eq!(opened_beside(FEW as u128 * 2), (0, 1));
    }
}
