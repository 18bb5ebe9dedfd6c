//! Batches that come twice: the server's own window covers minutes, this covers the rest.
//!
//! Producers send one batch at a time, so sequence numbers rise; only a stage that sends several at once may swap
//! neighbours when one of them has to be sent again. A short memory of what came last tells those from repetitions.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::Header;
use serde::{Deserialize, Serialize};

/// Batches of one producer that may overtake each other.
const REMEMBERED: usize = 128;
/// Most producers. Beyond them the one that was silent for longest is forgotten.
const MOST_PRODUCERS: usize = 100_000;

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
}

/// Producers by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HighWater {
    producers: BTreeMap<String, Producer>,
}

impl HighWater {
    /// Decides on a batch with `events` events. Heartbeats carry no event and are always new.
    pub fn admit(&mut self, header: &Header, events: u64) -> Admission {
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
        Admission::New { missed }
    }

    fn forget_one(&mut self) {
        let silent = self
            .producers
            .iter()
            .min_by_key(|(_, producer)| producer.last_ns)
            .map(|(key, _)| key.clone());
        if let Some(key) = silent {
            self.producers.remove(&key);
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
    fn heartbeats_are_never_repetitions() {
        let mut marks = HighWater::default();
        assert_eq!(marks.admit(&header(5), 0), Admission::New { missed: 0 });
        assert_eq!(marks.admit(&header(5), 1), Admission::New { missed: 0 });
    }
}
