//! What was told: episodes, calls, measurements, blindness, each bounded in number and age.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::episode::{Blindness, Episode, Report};
use bus_schema::event::node::Loss;
use bus_schema::{Entity, EventId};
use bus_stage::watermark::Watermark;
use serde::{Deserialize, Serialize};

use super::coverage::Coverage;
use crate::condition::Condition;

/// An episode that has been quiet for this long explains nothing new. What it has explained keeps it.
const REMEMBER_NS: u64 = 30 * 60 * 1_000_000_000;
/// Most episodes remembered; the one quiet for longest is forgotten first.
const MOST_EPISODES: usize = 20_000;
/// Most entities remembered that call somebody, or have a gauge.
const MOST_CALLERS: usize = 50_000;
/// Most that one of them is remembered to call.
const MOST_CALLEES: usize = 1_000;

/// Facts of the last half hour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct World {
    /// Newest revision of each episode.
    pub(super) episodes: BTreeMap<EventId, Episode>,
    calls: BTreeMap<String, BTreeMap<String, u64>>,
    gauges: BTreeMap<String, BTreeMap<String, Reading>>,
    pub(super) coverage: Coverage,
    watermark: Watermark,
    forgot_ns: u64,
}

/// The newest value of a gauge, and the largest one of the last minutes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Reading {
    /// When the largest was taken, UNIX ns.
    time_ns: u64,
    /// The largest.
    pub(super) value: f64,
}

impl World {
    /// Takes a report; says whether it told anything new.
    pub(super) fn take(&mut self, report: &Report) -> bool {
        let partition = format!("partition/{}", report.partition);
        self.watermark
            .note(partition, report.watermark_ns, report.received_ns);
        for episode in report
            .episodes
            .iter()
            .filter(|episode| Condition::parse(&episode.condition).is_some())
        {
            let newest = self.episodes.entry(episode.id).or_default();
            if episode.revision >= newest.revision {
                newest.clone_from(episode);
            }
        }
        for edge in report.edges.iter().filter(|edge| edge.relation == "calls") {
            self.note_call(edge.from.key(), edge.to.key(), edge.last_ns);
        }
        for gauge in &report.gauges {
            self.measure(&gauge.subject.key(), &gauge.name, gauge.time_ns, gauge.value);
        }
        for blindness in &report.blindness {
            self.coverage.take(blindness);
        }
        self.make_room();
        !report.episodes.is_empty()
    }

    /// Takes note of `count` messages that a stage lost just now.
    pub(super) fn lost(&mut self, loss: Loss, count: u64) {
        self.coverage.take(&Blindness {
            time_ns: self.now_ns(),
            loss: Some((loss, count)),
            ..Blindness::default()
        });
    }

    /// Event time: everything up to it has been told.
    pub(super) fn now_ns(&self) -> u64 {
        self.watermark.now_ns()
    }

    /// Whom `from` was seen to call.
    pub(super) fn callees(&self, from: &str) -> impl Iterator<Item = &str> {
        let callees = self.calls.get(from).into_iter();
        callees.flat_map(|callees| callees.keys().map(String::as_str))
    }

    /// The largest recent value of a gauge on `node`.
    pub(super) fn reading(&self, node: &str, name: &str) -> Option<Reading> {
        self.gauges.get(&Entity::of_node(node).key())?.get(name).copied()
    }

    fn note_call(&mut self, from: String, to: String, last_ns: u64) {
        if self.calls.len() >= MOST_CALLERS && !self.calls.contains_key(&from) {
            return;
        }
        let callees = self.calls.entry(from).or_default();
        if callees.len() < MOST_CALLEES || callees.contains_key(&to) {
            callees.insert(to, last_ns);
        }
    }

    fn measure(&mut self, subject: &str, name: &str, time_ns: u64, value: f64) {
        /// A peak counts for as long as a cause may precede its effect.
        const PEAK_NS: u64 = 2 * 60 * 1_000_000_000;
        if self.gauges.len() >= MOST_CALLERS && !self.gauges.contains_key(subject) {
            return;
        }
        let reading = self
            .gauges
            .entry(subject.to_owned())
            .or_default()
            .entry(name.to_owned())
            .or_default();
        if value >= reading.value || time_ns > reading.time_ns + PEAK_NS {
            *reading = Reading { time_ns, value };
        }
    }

    /// Whether it is time to [`Self::forget`].
    pub(super) fn may_forget(&self) -> bool {
        const EVERY_NS: u64 = 10_000_000_000;
        self.now_ns() >= self.forgot_ns + EVERY_NS
    }

    /// Episodes of which something was heard lately.
    pub(super) fn recent(&self) -> impl Iterator<Item = EventId> {
        let now_ns = self.now_ns();
        let recent = move |episode: &&Episode| now_ns < episode.last_ns + REMEMBER_NS;
        self.episodes.values().filter(recent).map(|episode| episode.id)
    }

    /// Forgets all episodes but these, and old calls.
    pub(super) fn forget(&mut self, kept: &BTreeSet<EventId>) {
        let now_ns = self.now_ns();
        self.forgot_ns = now_ns;
        self.episodes.retain(|id, _| kept.contains(id));
        self.calls.retain(|_, callees| {
            callees.retain(|_, last_ns| now_ns < *last_ns + 2 * REMEMBER_NS);
            !callees.is_empty()
        });
    }

    fn make_room(&mut self) {
        if self.episodes.len() <= MOST_EPISODES {
            return;
        }
        // a part at a time: to look for one costs as much as for many
        let mut by_age: Vec<_> = self
            .episodes
            .values()
            .map(|episode| (episode.last_ns, episode.id))
            .collect();
        by_age.sort_unstable();
        for (_, id) in by_age.iter().take(MOST_EPISODES / 16) {
            self.episodes.remove(id);
        }
    }
}
