//! Which observers there are, and what their clocks say.

use super::bus::Observer;
use super::numbers::{Dice, MILLI};
use super::plan::Handicaps;

/// Clocks that differ do so by at most so much, either way.
const MOST_SKEW_MS: usize = 80;

/// What is not seen, and when what is seen seems to happen.
#[derive(Debug, Clone, Default)]
pub(super) struct Sight {
    /// An observer that is nowhere, by its token.
    absent: Option<String>,
    /// The node whose kernel nobody observes.
    blind: Option<usize>,
    /// Of each node, how far its clock is ahead and how far behind, ns; of a node beyond, nothing.
    clocks: Vec<(u64, u64)>,
}

impl Sight {
    /// Of a system of so many nodes.
    pub(super) fn of(handicaps: Handicaps, absent: Option<String>, nodes: usize, dice: &mut Dice) -> Self {
        let blind = dice.below(nodes);
        let mut clock = || {
            let skew_ns = dice.whole(0, MOST_SKEW_MS) as u64 * MILLI;
            if dice.chance(0.5) {
                (skew_ns, 0)
            } else {
                (0, skew_ns)
            }
        };
        let clocks = (0..nodes).map(|_| clock()).collect();
        Self {
            absent,
            blind: Some(blind).filter(|_| handicaps.blind && nodes > 1),
            clocks: if handicaps.skewed { clocks } else { Vec::new() },
        }
    }

    /// Whether this observer is there.
    pub(super) fn sees(&self, node: usize, observer: Observer) -> bool {
        let is_blind = self.is_blind(node) && observer.is_of_kernel();
        !is_blind && self.absent.as_deref() != Some(observer.token())
    }

    /// Whether nobody observes the kernel of that node.
    pub(super) fn is_blind(&self, node: usize) -> bool {
        self.blind == Some(node)
    }

    /// What the clock of a node says then, UNIX ns.
    pub(super) fn time_ns(&self, node: usize, at_ns: u64) -> u64 {
        let (ahead_ns, behind_ns) = self.clocks.get(node).copied().unwrap_or_default();
        at_ns + ahead_ns - behind_ns
    }

    /// How far the slowest clock is behind, ns.
    pub(super) fn behind_ns(&self) -> u64 {
        self.clocks
            .iter()
            .map(|(_, behind_ns)| *behind_ns)
            .max()
            .unwrap_or(0)
    }
}
