//! Clocks that differ: what half of the observers see seems to have happened 80 ms before what the others see. And clocks that
//! are ten minutes early until they are set back.

use std::fmt;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::Batch;
use bus_schema::family::FAMILIES;

use super::real;
use crate::corpus::Case;

/// How far the clocks are behind, ns.
const BEHIND_NS: u64 = 80_000_000;
/// The first 48 bits of an event's id are its time in ms.
const BEHIND_IN_ID: u128 = (BEHIND_NS as u128 / 1_000_000) << 80;

/// How early all clocks are.
const EARLY_NS: u64 = 600_000_000_000;
const EARLY_IN_ID: u128 = (EARLY_NS as u128 / 1_000_000) << 80;

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

/// Everything that is stored until so many seconds after the beginning of the first case comes by clocks that are early.
pub(super) fn set_back(messages: Vec<Recorded>, cases: &[Case], after_s: u64) -> Result<Vec<Recorded>> {
    let first_ns = cases.iter().map(|case| case.played.at_ns).min();
    let until_ns = first_ns.unwrap_or(0) + after_s * 1_000_000_000;
    let mut codec = Codec::new()?;
    let moved = messages.into_iter().map(|message| {
        if message.stored_ns >= until_ns {
            return Ok(message);
        }
        let message = if real::is_batch(&message) {
            message.edit(&mut codec, early)?
        } else {
            message
        };
        let stored_ns = message.stored_ns + EARLY_NS;
        Ok(Recorded { stored_ns, ..message })
    });
    moved.collect()
}

fn early(batch: &mut Batch) {
    let header = &mut batch.header;
    header.received_ns += EARLY_NS;
    if header.watermark_ns > 0 {
        header.watermark_ns += EARLY_NS;
    }
    for event in &mut batch.events {
        event.time_ns += EARLY_NS;
        event.observed_ns += EARLY_NS;
        event.id.0 += EARLY_IN_ID;
    }
}
