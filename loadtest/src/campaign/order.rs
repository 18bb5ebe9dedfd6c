//! Which scenario comes when, by seed: the same seed gives the same order and the same pauses.

use std::time::Duration;

use fastrand::Rng;

/// Shortest and longest pause before a scenario, in milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 10_000..=30_000;

/// Rounds over all scenarios, each in an order of its own: none is played again before all have been.
#[derive(Debug)]
pub struct Order {
    chance: Rng,
    count: usize,
    round: Vec<usize>,
}

impl Order {
    /// An order of `count` scenarios.
    pub fn new(count: usize, seed: u64) -> Self {
        Self {
            chance: Rng::with_seed(seed),
            count,
            round: Vec::new(),
        }
    }
}

impl Iterator for Order {
    type Item = (usize, Duration);

    /// The next scenario's number and the pause before it; nothing when there is none at all.
    fn next(&mut self) -> Option<Self::Item> {
        if self.round.is_empty() {
            self.round = (0..self.count).collect();
            self.chance.shuffle(&mut self.round);
        }
        let pause = Duration::from_millis(self.chance.u64(PAUSE_MS));
        Some((self.round.pop()?, pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, of: usize) -> Vec<usize> {
        Order::new(8, seed).take(of).map(|(number, _)| number).collect()
    }

    #[test]
    fn a_seed_decides_and_each_round_has_each_once() {
        assert_eq!(numbers(1, 24), numbers(1, 24));
        assert_ne!(numbers(1, 24), numbers(2, 24));
        for round in numbers(1, 24).chunks(8) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, (0..8).collect::<Vec<_>>());
        }
        assert!(Order::new(0, 1).next().is_none());
    }

    #[test]
    fn pauses_are_ten_to_thirty_seconds() {
        let pauses: Vec<_> = Order::new(3, 7)
            .take(300)
            .map(|(_, pause)| pause.as_secs_f64())
            .collect();
        assert!(
            pauses.iter().all(|pause| (10.0..=30.0).contains(pause)),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| *pause < 13.0) && pauses.iter().any(|pause| *pause > 27.0));
    }
}
