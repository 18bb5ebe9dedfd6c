//! Batches that come twice: the server's own window covers minutes, this covers the rest.
//!
//! Producers send one batch at a time, so sequence numbers rise; only a stage that sends several at once may swap
//! neighbours when one of them has to be sent again. A short memory of what came last tells those from repetitions.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::Header;
use bus_schema::names::PRODUCER_FORGOTTEN_AFTER;
use serde::{Deserialize, Serialize};

use crate::watermark::pass;

/// Batches of one producer that may overtake each other.
const REMEMBERED: usize = 128;
/// Most producers. Beyond them the one that was silent for longest is forgotten.
const MOST_PRODUCERS: usize = 100_000;
/// Where nothing arrives for longer, the bus was away and nobody was silent.
const PAUSE_NS: u64 = 60_000_000_000;
/// The silent are looked for this often.
const FORGET_INTERVAL_NS: u64 = 60_000_000_000;
const SILENT: &str = "producer_silent";
const CROWD: &str = "producer_crowd";

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Not seen before; `missed` events before it have not come.
    New {
        /// Events between the last batch and this one.
        missed: u64,
    },
    /// Seen before.
    Repeated,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Producer {
    /// First sequences of the last batches.
    recent: BTreeSet<u64>,
    /// Sequence that the next event should have.
    next: u64,
    /// When the bus received its last batch, UNIX ns.
    last_ns: u64,
    /// … and in passed time.
    #[serde(default)]
    heard_ns: u64,
}

/// Producers by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HighWater {
    producers: BTreeMap<String, Producer>,
    /// When the bus received the newest batch, UNIX ns.
    #[serde(default)]
    received_ns: u64,
    /// Time during which batches arrived, ns.
    #[serde(default)]
    passed_ns: u64,
    #[serde(default)]
    looked_ns: u64,
    /// Producers forgotten since somebody asked, by reason.
    #[serde(skip)]
    forgotten: BTreeMap<&'static str, u64>,
}

impl HighWater {
    /// Decides on a batch with `events` events. Heartbeats carry no event and are always new.
    pub fn admit(&mut self, header: &Header, events: u64) -> Admission {
        self.pass(header.received_ns);
        if events == 0 {
            return Admission::New { missed: 0 };
        }
        let key = header.producer();
        if self.producers.len() >= MOST_PRODUCERS && !self.producers.contains_key(&key) {
            self.forget_one();
        }
        let producer = self.producers.entry(key).or_default();
        let first = header.first_sequence;
        let is_old = producer.recent.len() >= REMEMBERED
            && producer.recent.first().is_some_and(|oldest| first < *oldest);
        if is_old || !producer.recent.insert(first) {
            return Admission::Repeated;
        }
        if producer.recent.len() > REMEMBERED {
            producer.recent.pop_first();
        }
        let missed = if producer.next == 0 {
            0
        } else {
            first.saturating_sub(producer.next)
        };
        producer.next = producer.next.max(first.saturating_add(events));
        producer.last_ns = header.received_ns;
        producer.heard_ns = self.passed_ns;
        Admission::New { missed }
    }

    /// How many producers were forgotten since the last call, by reason.
    pub fn take_forgotten(&mut self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.forgotten)
    }

    /// Time goes on to `received_ns`; from time to time those are forgotten that nothing can come from again.
    fn pass(&mut self, received_ns: u64) {
        self.passed_ns += pass(&mut self.received_ns, received_ns, PAUSE_NS);
        if self.passed_ns - self.looked_ns < FORGET_INTERVAL_NS {
            return;
        }
        self.looked_ns = self.passed_ns;
        let patience_ns = u64::try_from(PRODUCER_FORGOTTEN_AFTER.as_nanos()).unwrap_or(u64::MAX);
        let (before, now_ns) = (self.producers.len(), self.passed_ns);
        self.producers
            .retain(|_, producer| now_ns - producer.heard_ns <= patience_ns);
        let silent = before - self.producers.len();
        if silent > 0 {
            *self.forgotten.entry(SILENT).or_default() += silent as u64;
        }
    }

    fn forget_one(&mut self) {
        let silent = self
            .producers
            .iter()
            .min_by_key(|(_, producer)| producer.last_ns)
            .map(|(key, _)| key.clone());
        if let Some(key) = silent {
            self.producers.remove(&key);
            *self.forgotten.entry(CROWD).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first_sequence: u64) -> Header {
        Header {
            node: "n".into(),
            boot: "b".into(),
            observer: "o".into(),
            first_sequence,
            ..Header::default()
        }
    }

    #[test]
    fn a_batch_counts_once_in_whatever_order_neighbours_come() {
        let mut marks = HighWater::default();
        assert_eq!(marks.admit(&header(1), 10), Admission::New { missed: 0 });
        assert_eq!(marks.admit(&header(1), 10), Admission::Repeated);
        assert_eq!(marks.admit(&header(21), 10), Admission::New { missed: 10 });
        assert_eq!(
            marks.admit(&header(11), 10),
            Admission::New { missed: 0 },
            "it was only late"
        );
        assert_eq!(marks.admit(&header(11), 10), Admission::Repeated);
    }

    #[test]
    fn what_is_older_than_all_that_is_remembered_is_a_repetition() {
        let mut marks = HighWater::default();
        (1..=200).for_each(|number| assert_ne!(marks.admit(&header(number * 10), 10), Admission::Repeated));
        assert_eq!(marks.admit(&header(10), 10), Admission::Repeated);
    }

    #[test]
    fn who_was_silent_for_longer_than_batches_are_kept_is_forgotten_and_counted() {
        const MINUTE_NS: u64 = 60_000_000_000;
        let at = |node: &str, minute: u64| Header {
            node: node.into(),
            received_ns: (1_000 + minute) * MINUTE_NS,
            ..header(1 + minute * 10)
        };
        let mut marks = HighWater::default();
        marks.admit(&at("gone", 0), 10);
        for minute in 0..=30 {
            marks.admit(&at("here", minute), 10);
        }
        assert_eq!(marks.admit(&at("gone", 0), 10), Admission::Repeated, "not yet");
        assert!(marks.take_forgotten().is_empty());
        let mut later = marks.clone();
        // The bus was away: that is no silence.
        marks.admit(&at("here", 130), 10);
        assert!(marks.take_forgotten().is_empty());
        for minute in 31..=70 {
            later.admit(&at("here", minute), 10);
        }
        assert_eq!(later.take_forgotten(), BTreeMap::from([(SILENT, 1)]));
        assert_eq!(later.producers.len(), 1);
        assert!(later.take_forgotten().is_empty(), "counted once");
    }

    #[test]
    fn heartbeats_are_never_repetitions() {
        let mut marks = HighWater::default();
        assert_eq!(marks.admit(&header(5), 0), Admission::New { missed: 0 });
        assert_eq!(marks.admit(&header(5), 1), Admission::New { missed: 0 });
    }
}
