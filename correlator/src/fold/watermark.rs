//! How far event time has come in a partition: the least of what its producers say, leaving out those that fell silent.

use std::collections::BTreeMap;

use bus_schema::Header;
use bus_schema::names::PRODUCER_SILENT_AFTER;
use serde::{Deserialize, Serialize};

/// The watermark of one partition. It never goes back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Watermark {
    producers: BTreeMap<String, u64>,
    latest_ns: u64,
    now_ns: u64,
}

impl Watermark {
    /// Takes what a producer says of itself. A clock far ahead of the others advances nothing but its own mark.
    pub(crate) fn advance(&mut self, header: &Header) {
        self.note(header.producer(), header.watermark_ns);
    }

    /// Takes `time_ns` as the mark of `producer`.
    pub(crate) fn note(&mut self, producer: String, time_ns: u64) {
        let mark = self.producers.entry(producer).or_default();
        *mark = time_ns.max(*mark);
        self.latest_ns = self.latest_ns.max(*mark);
        let silent_ns = u64::try_from(PRODUCER_SILENT_AFTER.as_nanos()).unwrap_or(u64::MAX);
        let oldest_ns = self.latest_ns.saturating_sub(silent_ns);
        self.producers.retain(|_, mark| *mark >= oldest_ns);
        self.now_ns = self
            .producers
            .values()
            .copied()
            .min()
            .unwrap_or(0)
            .max(self.now_ns);
    }

    /// Everything up to this time (UNIX ns) has arrived.
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_the_least_of_all_producers_until_one_falls_silent() {
        let mut watermark = Watermark::default();
        let second = 1_000_000_000;
        watermark.note("a".into(), 10 * second);
        watermark.note("b".into(), 12 * second);
        assert_eq!(watermark.now_ns(), 10 * second);
        watermark.note("b".into(), 16 * second);
        assert_eq!(watermark.now_ns(), 16 * second, "a fell silent");
        watermark.note("a".into(), 11 * second);
        assert_eq!(watermark.now_ns(), 16 * second, "time never goes back");
    }
}
