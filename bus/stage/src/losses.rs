//! What a stage lost, until it is told downstream. Whoever weighs evidence must know what was never read.

use std::collections::BTreeMap;

use bus_schema::event::node::Loss;
use serde::{Deserialize, Serialize};

/// Told this often at most, in time of the bus: a flood of garbage must not become a flood of complaints.
const INTERVAL_NS: u64 = 1_000_000_000;

/// Losses of one partition. Part of the work's state: what was lost is told once, whoever takes the work up again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Losses {
    counts: BTreeMap<String, u64>,
    told_ns: u64,
}

impl Losses {
    /// Counts what was lost for `reason`.
    pub fn add(&mut self, reason: &str, count: u64) {
        if count > 0 {
            *self.counts.entry(reason.to_owned()).or_default() += count;
        }
    }

    /// What is to be told of `stage` at `now_ns` (UNIX), with its count.
    pub fn due(&mut self, stage: &str, now_ns: u64) -> Vec<(Loss, u64)> {
        if self.counts.is_empty() || now_ns < self.told_ns + INTERVAL_NS {
            return Vec::new();
        }
        self.told_ns = now_ns;
        let loss = |(reason, count)| {
            let observer = stage.to_owned();
            let loss = Loss {
                observer,
                reason,
                sent: None,
            };
            (loss, count)
        };
        std::mem::take(&mut self.counts).into_iter().map(loss).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_once_and_not_too_often() {
        let mut losses = Losses::default();
        let mut told = |reasons: &[&str], now_ns| {
            for reason in reasons {
                losses.add(reason, 2);
            }
            let due = losses.due("enricher", now_ns).into_iter();
            due.map(|(loss, count)| format!("{} {count}", loss.reason))
                .collect::<Vec<_>>()
        };
        let second = INTERVAL_NS;
        assert!(told(&[], 10 * second).is_empty(), "nothing was lost");
        assert_eq!(told(&["retention"], 10 * second), ["retention 2"]);
        assert!(told(&["retention", "undecodable"], 11 * second - 1).is_empty());
        assert_eq!(
            told(&["retention"], 11 * second),
            ["retention 4", "undecodable 2"]
        );
        assert!(told(&[], 20 * second).is_empty());
    }
}
