//! From what the model holds for probable to how often that turned out so: Platt scaling (Platt 1999, *Probabilistic outputs for
//! support vector machines*), two parameters on the log-odds, below a ceiling.
//!
//! The shares by which causes are chosen stay as they are; what people are told of a root is calibrated. The map is monotone: what
//! is likelier before is likelier after.

/// No claim is surer than this: a case in a hundred is one that nobody has thought of.
const CEILING: f64 = 0.99;
/// Probabilities nearer to 0 or 1 than this say no more than that.
const LEAST: f64 = 1e-4;
/// Until the interval in which a probability is sought is narrower than [`LEAST`].
const HALVINGS: usize = 20;

/// A map from probabilities to probabilities: `CEILING / (1 + exp(-(slope · ln(p / (1 - p)) + offset)))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map {
    /// Below 1 all is less sure than was thought, above 1 surer; above 0.
    pub slope: f64,
    /// Above 0 all is more probable than was thought.
    pub offset: f64,
}

/// The map of what is told: fitted by `make understand` over the recordings of `correlator/corpus` and three generated cases of each
/// family and size (two of the largest): 160 claims, five of them wrong. `make understand` says what a family gains by it that was
/// left out of the fit.
pub const APPLIED: Map = Map {
    slope: 1.34,
    offset: 1.29,
};

impl Map {
    /// Leaves a probability as it is, but for the ceiling.
    pub const NONE: Self = Self {
        slope: 1.0,
        offset: 0.0,
    };

    /// The calibrated probability.
    pub fn apply(self, probability: f64) -> f64 {
        CEILING * chance(self.slope * log_odds(probability) + self.offset)
    }

    /// The probability that is calibrated to this one.
    pub fn invert(self, calibrated: f64) -> f64 {
        chance((log_odds(calibrated / CEILING) - self.offset) / self.slope)
    }

    /// The calibrated probability where observers saw so much (0 to 1). The map was fitted on what was seen whole: what nobody
    /// looked at makes nothing surer.
    pub fn apply_seen(self, probability: f64, completeness: f64) -> f64 {
        let calibrated = self.apply(probability);
        if calibrated > probability {
            probability + completeness * (calibrated - probability)
        } else {
            calibrated
        }
    }

    /// The probability of which [`Self::apply_seen`] makes this one.
    pub fn invert_seen(self, told: f64, completeness: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.apply_seen(middle, completeness) < told {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    }

    /// How fast the calibrated probability grows with slope · log-odds + offset.
    pub fn steepness(calibrated: f64) -> f64 {
        calibrated * (1.0 - calibrated / CEILING)
    }
}

/// Logarithm of p : (1 - p).
pub fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(LEAST, 1.0 - LEAST);
    (probability / (1.0 - probability)).ln()
}

/// What is told of anything else, for each unit of its own probability, where one is told with another probability than was held:
/// together they are as much as before.
pub fn left(held: f64, told: f64) -> f64 {
    (1.0 - told) / (1.0 - held).max(LEAST)
}

fn chance(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEST: Map = Map {
        slope: 1.5,
        offset: 0.8,
    };

    #[test]
    fn what_is_calibrated_can_be_taken_back() {
        for percent in 1..100 {
            let probability = f64::from(percent) / 100.0;
            let back = MODEST.invert(MODEST.apply(probability));
            assert!((back - probability).abs() < 1e-6, "{probability} {back}");
            for completeness in [0.0, 0.4, 1.0] {
                let told = MODEST.apply_seen(probability, completeness);
                let back = MODEST.invert_seen(told, completeness);
                assert!((back - probability).abs() < LEAST, "{probability} {back}");
            }
        }
    }

    #[test]
    fn what_one_gains_the_others_lose() {
        let (held, others) = (0.6, [0.25, 0.1, 0.05]);
        let told = MODEST.apply(held);
        let left: f64 = others.iter().map(|other| other * left(held, told)).sum();
        assert!(told > held && (told + left - 1.0).abs() < 1e-9, "{told} {left}");
    }

    #[test]
    fn what_nobody_looked_at_makes_nothing_surer() {
        let told = |completeness| MODEST.apply_seen(0.6, completeness);
        assert!((told(1.0) - MODEST.apply(0.6)).abs() < 1e-9 && told(1.0) > 0.6);
        assert!((told(0.0) - 0.6).abs() < 1e-9);
        assert!(told(0.5) > told(0.2) && told(0.5) < told(1.0));
        let bold = Map {
            offset: -0.8,
            ..MODEST
        };
        assert!(
            (bold.apply_seen(0.6, 0.0) - bold.apply(0.6)).abs() < 1e-9,
            "less sure in any case"
        );
    }

    #[test]
    fn order_is_kept_and_nothing_is_certain() {
        let all = (0..=100).map(|percent| MODEST.apply(f64::from(percent) / 100.0));
        let all: Vec<_> = all.collect();
        assert!(
            all.is_sorted() && all.iter().all(|claim| (0.0..CEILING).contains(claim)),
            "{all:?}"
        );
        let falling = Map {
            slope: -1.0,
            ..MODEST
        };
        assert!(
            falling.apply(0.2) > falling.apply(0.8),
            "a map that no fit may give"
        );
    }
}
