//! Clocks that differ: what half of the observers see seems to have happened 80 ms before what the others see.

use std::fmt;

use bus_schema::Batch;
use bus_schema::family::FAMILIES;

/// How far the clocks are behind, ns.
const BEHIND_NS: u64 = 80_000_000;
/// The first 48 bits of an event's id are its time in ms.
const BEHIND_IN_ID: u128 = (BEHIND_NS as u128 / 1_000_000) << 80;

/// Which observers have clocks that are behind: every other one of the list of observers, and on every other node the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The first of the list, the third, …
    Even,
    /// The second, the fourth, …
    Odd,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Even => "even",
            Self::Odd => "odd",
        })
    }
}

/// Shifts batches that are handed over in order.
#[derive(Debug)]
pub(super) struct Clocks {
    half: Half,
    /// Nodes so far.
    nodes: Vec<String>,
}

impl Clocks {
    pub(super) fn new(half: Half) -> Self {
        Self {
            half,
            nodes: Vec::new(),
        }
    }

    /// Single events are earlier. Sums stay: they end with a second of whatever clock.
    pub(super) fn shift(&mut self, batch: &mut Batch) {
        // Of all producers' times, a heartbeat of the enricher tells the least.
        let header = &mut batch.header;
        header.watermark_ns = header.watermark_ns.saturating_sub(BEHIND_NS);
        if !self.is_behind(&batch.header.node, &batch.header.observer) {
            return;
        }
        for event in batch.events.iter_mut().filter(|event| event.window_ns == 0) {
            event.time_ns = event.time_ns.saturating_sub(BEHIND_NS);
            event.observed_ns = event.observed_ns.saturating_sub(BEHIND_NS);
            event.id.0 = event.id.0.saturating_sub(BEHIND_IN_ID);
        }
    }

    fn is_behind(&mut self, node: &str, observer: &str) -> bool {
        let mut observers = FAMILIES.iter().flat_map(|family| family.observers);
        let Some(observer) = observers
            .by_ref()
            .filter(|known| known.built)
            .position(|known| known.token == observer)
        else {
            return false;
        };
        let known = self.nodes.iter().position(|known| known == node);
        let node = known.unwrap_or_else(|| {
            self.nodes.push(node.to_owned());
            self.nodes.len() - 1
        });
        (observer + node).is_multiple_of(2) == (self.half == Half::Even)
    }
}
