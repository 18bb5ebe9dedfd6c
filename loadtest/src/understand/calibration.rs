//! Whether a probability means what it says: a reliability table and its expected error.

use std::fmt;

use crate::campaign::scenario::Kind;
use crate::campaign::score::{Row, Verdict};

/// Width of a bin.
const BINS: usize = 10;

/// Claims by how sure they were.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    bins: [Bin; BINS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    claims: f64,
    sum: f64,
    right: f64,
}

impl Calibration {
    /// Of what was claimed of the roots of these rows.
    pub fn of_rows(rows: &[Row]) -> Self {
        let claims = rows.iter().filter(|row| row.kind == Kind::Fault);
        Self::of(claims.filter_map(|row| Some((row.confidence?, row.root == Verdict::Right))))
    }

    /// Of claims, each a probability and whether it was so.
    pub fn of(claims: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut calibration = Self::default();
        for (probability, is_right) in claims {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "the number of a bin"
            )]
            let number = ((probability * BINS as f64) as usize).min(BINS - 1);
            if let Some(bin) = calibration.bins.get_mut(number) {
                bin.claims += 1.0;
                bin.sum += probability;
                bin.right += f64::from(u8::from(is_right));
            }
        }
        calibration
    }

    /// Every bin with claims, least sure first.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let bins = self.bins.iter().filter(|bin| bin.claims > 0.0);
        bins.map(|bin| Point {
            claimed: bin.sum / bin.claims,
            right: bin.right / bin.claims,
            cases: bin.claims,
        })
    }

    /// Expected calibration error: mean distance between what was claimed and what was right, by bin, weighed by claims
    /// (Naeini, Cooper, Hauskrecht 2015).
    pub fn error(&self) -> f64 {
        let claims: f64 = self.bins.iter().map(|bin| bin.claims).sum();
        let wrong: f64 = self.bins.iter().map(|bin| (bin.sum - bin.right).abs()).sum();
        wrong / claims.max(1.0)
    }
}

/// What was claimed about as often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Mean of the claims, 0 to 1.
    pub claimed: f64,
    /// Share of them that was right, 0 to 1.
    pub right: f64,
    /// How many they are.
    pub cases: f64,
}

/// Mean square of what was claimed less what was so (Brier 1950): the sharper a true claim, the less.
pub fn brier(claims: &[(f64, bool)]) -> f64 {
    let squares = claims.iter().map(|(claimed, is_right)| {
        let right = f64::from(u8::from(*is_right));
        (claimed - right).powi(2)
    });
    #[expect(clippy::cast_precision_loss, reason = "a few hundred claims")]
    let count = claims.len().max(1) as f64;
    squares.sum::<f64>() / count
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "claimed      cases  mean claim  right")?;
        for (number, bin) in self.bins.iter().enumerate().filter(|(_, bin)| bin.claims > 0.0) {
            let (from, to) = (number * 100 / BINS, (number + 1) * 100 / BINS);
            let share = |of: f64| 100.0 * of / bin.claims;
            let (claim, right) = (share(bin.sum), share(bin.right));
            writeln!(
                f,
                "{from:>3}–{to:>3} %  {:>6}  {claim:>8.0} %  {right:>3.0} %",
                bin.claims
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_right_as_often_as_claimed_has_no_error() {
        let honest = (0..10).map(|number| (0.75, number % 4 != 0 || number == 8));
        assert!(Calibration::of(honest).error() < 0.06);
        let boaster = (0..10).map(|number| (0.95, number % 2 == 0));
        assert!((Calibration::of(boaster).error() - 0.45).abs() < 1e-9);
        assert!(Calibration::of(std::iter::empty()).error().abs() < 1e-9);
    }

    #[test]
    fn each_bin_says_what_was_claimed_and_what_was_right() {
        let table = Calibration::of([(1.0, true), (0.92, false), (0.3, false)].into_iter()).to_string();
        assert!(table.contains(" 90–100 %       2        96 %   50 %"), "{table}");
        assert!(table.contains(" 30– 40 %       1        30 %    0 %"), "{table}");
    }
}
