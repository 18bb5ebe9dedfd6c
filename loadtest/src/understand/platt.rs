//! Fits the map from the model's probabilities to how often they turn out so.
//!
//! Platt scaling: slope and offset on the log-odds, by maximum likelihood on smoothed targets ((n₊ + 1) / (n₊ + 2) for what was right,
//! 1 / (n₋ + 2) for what was wrong; Platt 1999, §2.2), with Fisher's scoring. Where hardly anything is wrong that alone would let the
//! slope run away: a normal prior holds both near "leave it as it is".

use correlator::graph::calibration::{Map, log_odds};

/// Standard deviation of the prior of slope and offset: most maps double odds or halve them, few change them tenfold.
const SPREAD: f64 = 1.0;
/// A map keeps the order.
const LEAST_SLOPE: f64 = 0.05;
/// Steps until nothing moves; a dozen are enough.
const STEPS: usize = 100;
const STILL: f64 = 1e-9;

/// What was held for probable, and whether it was so.
pub type Claim = (f64, bool);

/// The likeliest map of these claims.
pub fn fit(claims: &[Claim]) -> Map {
    let aimed = targets(claims);
    let mut map = Map::NONE;
    for _ in 0..STEPS {
        let (slope, offset) = step(map, &aimed);
        let better = halved(map, slope, offset, &aimed);
        let moved = (better.slope - map.slope).abs() + (better.offset - map.offset).abs();
        map = better;
        if moved < STILL {
            break;
        }
    }
    map
}

/// Each claim with what is aimed at.
fn targets(claims: &[Claim]) -> Vec<(f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred claims")]
    let count = |is: bool| claims.iter().filter(|(_, is_right)| *is_right == is).count() as f64;
    let (right, wrong) = (count(true), count(false));
    let target = |is_right: bool| {
        if is_right {
            (right + 1.0) / (right + 2.0)
        } else {
            1.0 / (wrong + 2.0)
        }
    };
    claims
        .iter()
        .map(|(claimed, is_right)| (*claimed, target(*is_right)))
        .collect()
}

/// Logarithm of the likelihood and the prior.
fn score(map: Map, aimed: &[(f64, f64)]) -> f64 {
    let of_claims = aimed.iter().map(|(claimed, target)| {
        let probability = map.apply(*claimed);
        target * probability.ln() + (1.0 - target) * (1.0 - probability).ln()
    });
    let away = (map.slope - Map::NONE.slope).powi(2) + (map.offset - Map::NONE.offset).powi(2);
    of_claims.sum::<f64>() - away / (2.0 * SPREAD * SPREAD)
}

/// Fisher's step: the gradient by what is expected of the curvature.
fn step(map: Map, aimed: &[(f64, f64)]) -> (f64, f64) {
    let held = 1.0 / (SPREAD * SPREAD);
    let mut gradient = (
        -held * (map.slope - Map::NONE.slope),
        -held * (map.offset - Map::NONE.offset),
    );
    let mut curvature = (held, 0.0, held);
    for (claimed, target) in aimed {
        let (odds, probability) = (log_odds(*claimed), map.apply(*claimed));
        let steepness = Map::steepness(probability);
        let spread = probability * (1.0 - probability);
        let pull = (target - probability) / spread * steepness;
        let weight = steepness * steepness / spread;
        gradient = (gradient.0 + pull * odds, gradient.1 + pull);
        curvature.0 += weight * odds * odds;
        curvature.1 += weight * odds;
        curvature.2 += weight;
    }
    let determinant = curvature.0 * curvature.2 - curvature.1 * curvature.1;
    (
        (curvature.2 * gradient.0 - curvature.1 * gradient.1) / determinant,
        (curvature.0 * gradient.1 - curvature.1 * gradient.0) / determinant,
    )
}

/// As much of a step as makes it better; the map itself where none does.
fn halved(map: Map, slope: f64, offset: f64, aimed: &[(f64, f64)]) -> Map {
    /// Less than this much of a step is none.
    const HALVINGS: i32 = 30;
    let before = score(map, aimed);
    let parts = (0..HALVINGS).map(|times| 0.5_f64.powi(times));
    let mut tried = parts.map(|part| Map {
        slope: (map.slope + part * slope).max(LEAST_SLOPE),
        offset: map.offset + part * offset,
    });
    tried.find(|tried| score(*tried, aimed) > before).unwrap_or(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many claims of this probability, the first of which are right.
    fn claims(probability: f64, right: usize, of: usize) -> impl Iterator<Item = Claim> {
        (0..of).map(move |number| (probability, number < right))
    }

    #[test]
    fn the_modest_are_made_bolder_and_the_bold_more_modest() {
        let modest: Vec<_> = claims(0.6, 90, 100).chain(claims(0.8, 98, 100)).collect();
        let map = fit(&modest);
        assert!((map.apply(0.6) - 0.9).abs() < 0.03, "{map:?} {}", map.apply(0.6));
        let bold: Vec<_> = claims(0.9, 50, 100).chain(claims(0.6, 30, 100)).collect();
        let map = fit(&bold);
        assert!(map.apply(0.9) < 0.6, "{map:?}");
        let honest: Vec<_> = claims(0.3, 30, 100).chain(claims(0.8, 80, 100)).collect();
        let map = fit(&honest);
        assert!((map.apply(0.8) - 0.8).abs() < 0.03, "{map:?}");
    }

    #[test]
    fn where_nothing_is_wrong_nothing_runs_away() {
        let right: Vec<_> = claims(0.7, 50, 50).collect();
        let map = fit(&right);
        assert!(
            map.apply(0.7) < 0.99 && map.slope < 5.0 && map.offset < 5.0,
            "{map:?}"
        );
        assert_eq!(fit(&[]), Map::NONE);
    }
}
