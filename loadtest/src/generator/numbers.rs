//! Dice and numbers: the same seed throws the same.

/// One second, ns.
pub(super) const SECOND: u64 = 1_000_000_000;
/// One millisecond, ns.
pub(super) const MILLI: u64 = 1_000_000;

/// So many seconds, ns.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of a simulation, which are no longer than days"
)]
pub(super) fn ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

/// So many ns, in seconds.
#[expect(clippy::cast_precision_loss, reason = "lengths of a simulation")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A count of something.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 of anything")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// A size of something.
pub(super) fn size(of: usize) -> f64 {
    real(of as u64)
}

/// The next whole number of things, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most some thousands"
)]
pub(super) fn whole(number: f64) -> usize {
    number.ceil().max(1.0) as usize
}

/// So many bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "memory of one machine"
)]
pub(super) fn bytes(number: f64) -> u64 {
    number.max(0.0) as u64
}

/// What chance decides.
#[derive(Debug, Clone)]
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    /// The same seed throws the same.
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Other dice, whose throws do not depend on how often these are thrown later.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// Evenly between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// Between two numbers, each order of magnitude as often as the other.
    pub(super) fn scaled(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// A number below `bound`, 0 when that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound.max(1))
    }

    /// A whole number from `low` to `high`.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        self.0.usize(low..=high.max(low))
    }

    /// Any 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Yes with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// The wait until the next of events that come at random, with this mean.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.f64()).ln()
    }

    /// Around `median`, with a long tail: lognormal.
    pub(super) fn around(&mut self, median: f64, spread: f64) -> f64 {
        // Box and Muller 1958
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.0.f64()).cos();
        median * (spread * normal).exp()
    }

    /// One of these.
    pub(super) fn one_of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// One of these words.
    pub(super) fn word(&mut self, words: &[&'static str]) -> &'static str {
        self.one_of(words).copied().unwrap_or_default()
    }
}
