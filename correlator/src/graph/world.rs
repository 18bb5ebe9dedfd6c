//! What was told: episodes, calls, measurements, blindness, each bounded in number and age. It notes what changes, for those
//! who derive something from it.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::episode::{Blindness, Episode, Report};
use bus_schema::event::node::Loss;
use bus_schema::{Entity, EventId};
use bus_stage::step::Step;
use bus_stage::watermark::Watermark;
use serde::{Deserialize, Serialize};

pub(super) use changes::{Changes, Revision};

use super::coverage::Coverage;
use super::relations::Relations;
use crate::fold::OTHERS_LISTENING;
use crate::rules::RuleBook;
use crate::rules::ablation::Part;

const SECOND_NS: u64 = 1_000_000_000;
/// An episode that has been quiet for this long is of no more use as evidence that something was over.
const LEAST_REMEMBERED_NS: u64 = 120 * SECOND_NS;
/// Most episodes remembered; the one quiet for longest is forgotten first.
const MOST_EPISODES: usize = 20_000;
/// Most entities remembered that have a gauge.
const MOST_MEASURED: usize = 50_000;

/// Facts of the last half hour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct World {
    /// Newest revision of each episode.
    #[serde(with = "shared")]
    pub(super) episodes: BTreeMap<EventId, Arc<Episode>>,
    #[serde(default)]
    pub(super) relations: Relations,
    gauges: BTreeMap<String, BTreeMap<String, Reading>>,
    pub(super) coverage: Coverage,
    watermark: Watermark,
    forgot_ns: u64,
    /// Episodes that made room for others before their time, and were not told of yet.
    #[serde(default)]
    pub(super) evicted: u64,
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
    /// Notes how far time has come by a report; says whether it went back. What the API server says of relations is as old as
    /// the news of it, and waits for nobody.
    pub(super) fn pass_time(&mut self, report: &Report) -> Option<Step> {
        if report.watermark_ns == 0 {
            return None;
        }
        let partition = format!("partition/{}", report.partition);
        let Report {
            sequence,
            watermark_ns,
            received_ns,
            ..
        } = report;
        self.watermark
            .note_numbered(partition, *sequence, *watermark_ns, *received_ns)
    }

    /// Takes what a report tells; says whether there was anything new, and notes what.
    pub(super) fn take(&mut self, book: &RuleBook, report: &Report, changes: &mut Changes) -> bool {
        for episode in &report.episodes {
            self.take_episode(book, episode, changes);
        }
        for edge in &report.edges {
            self.relations.take(edge, &mut changes.related);
        }
        for gauge in &report.gauges {
            self.measure(&gauge.subject.key(), &gauge.name, gauge.time_ns, gauge.value);
        }
        for blindness in &report.blindness {
            changes.coverage.extend(self.coverage.take(blindness));
        }
        self.make_room(changes);
        !report.episodes.is_empty()
    }

    /// Takes note of `count` messages that a stage lost just now.
    pub(super) fn lost(&mut self, loss: Loss, count: u64, changes: &mut Changes) {
        changes.coverage.extend(self.coverage.take(&Blindness {
            time_ns: self.now_ns(),
            loss: Some((loss, count)),
            ..Blindness::default()
        }));
    }

    /// Event time: everything up to it has been told.
    pub(super) fn now_ns(&self) -> u64 {
        self.watermark.now_ns()
    }

    /// The largest recent value of a gauge on `node`.
    pub(super) fn reading(&self, node: &str, name: &str) -> Option<Reading> {
        self.gauges.get(&Entity::of_node(node).key())?.get(name).copied()
    }

    fn take_episode(&mut self, book: &RuleBook, episode: &Episode, changes: &mut Changes) {
        if book.catalogue.condition(&episode.condition).is_none() {
            return;
        }
        let before = self.episodes.get(&episode.id).cloned();
        if before
            .as_ref()
            .is_some_and(|before| episode.revision < before.revision)
        {
            return;
        }
        let mut now = episode.clone();
        if book.lacks(Part::Dose) {
            now.facts.remove(OTHERS_LISTENING);
        }
        let now = Arc::new(now);
        self.episodes.insert(episode.id, Arc::clone(&now));
        changes.revised.push(Revision { before, now });
    }

    fn measure(&mut self, subject: &str, name: &str, time_ns: u64, value: f64) {
        /// A peak counts for as long as a cause may precede its effect.
        const PEAK_NS: u64 = 2 * 60 * SECOND_NS;
        if self.gauges.len() >= MOST_MEASURED && !self.gauges.contains_key(subject) {
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
        const EVERY_NS: u64 = 10 * SECOND_NS;
        self.now_ns() >= self.forgot_ns + EVERY_NS
    }

    /// Episodes that may still explain something: they were not quiet for longer than any mechanism takes that they set off.
    pub(super) fn recent(&self, book: &RuleBook) -> impl Iterator<Item = EventId> {
        let now_ns = self.now_ns();
        let is_recent = move |episode: &&Arc<Episode>| {
            now_ns < episode.last_ns + remembered_ns(book, episode) || book.catalogue.still_holds(episode)
        };
        self.episodes.values().filter(is_recent).map(|episode| episode.id)
    }

    /// Forgets all episodes but these; relations and observers that were not heard of for long.
    pub(super) fn forget(&mut self, kept: &BTreeSet<EventId>, changes: &mut Changes) {
        let now_ns = self.now_ns();
        self.forgot_ns = now_ns;
        self.episodes.retain(|id, episode| {
            let keeps = kept.contains(id);
            if !keeps {
                changes.forgotten.push(Arc::clone(episode));
            }
            keeps
        });
        self.relations.forget(now_ns, &mut changes.unrelated);
        self.coverage.forget(now_ns);
    }

    fn make_room(&mut self, changes: &mut Changes) {
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
            changes.forgotten.extend(self.episodes.remove(id));
            self.evicted += 1;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a rule: a cast ends at zero and at the largest"
)]
fn remembered_ns(book: &RuleBook, episode: &Episode) -> u64 {
    let condition = book.catalogue.condition(&episode.condition);
    let longest = condition.map_or(0.0, |condition| book.longest_seconds(condition));
    LEAST_REMEMBERED_NS.max((longest * 1e9) as u64)
}

/// Shared episodes are written as episodes.
mod shared {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bus_schema::EventId;
    use bus_schema::episode::Episode;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        episodes: &BTreeMap<EventId, Arc<Episode>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(episodes.iter().map(|(id, episode)| (id, &**episode)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<EventId, Arc<Episode>>, D::Error> {
        let episodes = BTreeMap::<EventId, Episode>::deserialize(deserializer)?;
        Ok(episodes
            .into_iter()
            .map(|(id, episode)| (id, Arc::new(episode)))
            .collect())
    }
}
