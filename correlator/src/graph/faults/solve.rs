//! The joint model of a few suspects and all that they may have brought about, solved exactly.
//!
//! Each suspect is at fault or not, independently, with a prior that is paid once. Causes compete for an effect by their rates at
//! the time when it began (competing risks): of the suspects that are at fault, of causes that are known to have been at work, and
//! of nothing, which is needed only as far as none of those was at work (a noisy OR, Pearl 1988, §4.3.2):
//! P(effect | those at fault) ∝ Σ rates + leak · Π (1 − weight). All effects were seen. Summing over all sets of suspects is exact
//! and takes 2ⁿ · m steps for n suspects and m effects; the caller bounds n. An effect is put down to each cause by its share of
//! that sum.

/// What is known of one effect.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    /// Sum of the rates of causes that are known to have been at work …
    pub(super) rate: f64,
    /// … and Π (1 − weight) of them; 1 for none.
    pub(super) none: f64,
    /// Rate at which it arises by nothing that is a suspect.
    pub(super) leak: f64,
    /// Each suspect that may have brought it about.
    pub(super) suspects: Vec<Charge>,
    /// Whether it tells more than others do: else it is only put down to something.
    pub(super) is_news: bool,
}

/// One suspect of an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Charge {
    /// Its number among the suspects.
    pub(super) number: usize,
    /// Probability that it brings the effect about, where it is at fault.
    pub(super) weight: f64,
    /// The same for the time at which the effect began, in the unit of the leak.
    pub(super) rate: f64,
}

/// What an effect is put down to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shares {
    /// Of a known cause for each unit of its rate.
    pub(super) unit: f64,
    /// Of each suspect, in the order of [`Effect::suspects`].
    pub(super) suspects: Vec<f64>,
    /// Of nothing that is a suspect.
    pub(super) leak: f64,
}

/// No probability is exactly none, so that its logarithm is a number.
const LEAST: f64 = 1e-12;

/// Shares of every effect, where suspect number i is at fault with a prior of `prices[i]`.
pub(super) fn solve(prices: &[f64], effects: &[Effect]) -> Vec<Shares> {
    let sets = 1_usize << prices.len();
    let mut log: Vec<f64> = (0..sets).map(|set| prior(prices, set)).collect();
    for effect in effects.iter().filter(|effect| effect.is_news) {
        for (set, log) in log.iter_mut().enumerate() {
            let (rate, none) = at_work(effect, set);
            *log += (rate + effect.leak * none).max(LEAST).ln();
        }
    }
    let most = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut posterior: Vec<f64> = log.iter().map(|log| (log - most).exp()).collect();
    let total: f64 = posterior.iter().sum();
    for probability in &mut posterior {
        *probability /= total;
    }
    effects.iter().map(|effect| shares(effect, &posterior)).collect()
}

/// Logarithm of the prior of a set.
fn prior(prices: &[f64], set: usize) -> f64 {
    let of_one = |(number, price): (usize, &f64)| {
        let chance = if contains(set, number) {
            *price
        } else {
            1.0 - price
        };
        chance.max(LEAST).ln()
    };
    prices.iter().enumerate().map(of_one).sum()
}

/// Sum of the rates of what was at work, and Π (1 − weight).
fn at_work(effect: &Effect, set: usize) -> (f64, f64) {
    let suspects = effect.suspects.iter();
    let at_fault = suspects.filter(|charge| contains(set, charge.number));
    at_fault.fold((effect.rate, effect.none), |(rate, none), charge| {
        (rate + charge.rate, none * (1.0 - charge.weight))
    })
}

fn shares(effect: &Effect, posterior: &[f64]) -> Shares {
    let mut shares = Shares {
        suspects: vec![0.0; effect.suspects.len()],
        ..Shares::default()
    };
    for (set, probability) in posterior.iter().enumerate() {
        let (rate, none) = at_work(effect, set);
        let total = (rate + effect.leak * none).max(LEAST);
        shares.unit += probability / total;
        shares.leak += probability * effect.leak * none / total;
        for (share, charge) in shares.suspects.iter_mut().zip(&effect.suspects) {
            if contains(set, charge.number) {
                *share += probability * charge.rate / total;
            }
        }
    }
    shares
}

const fn contains(set: usize, number: usize) -> bool {
    set >> number & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: f64 = 0.05;

    /// An effect of suspects with these weights that arises by itself as often as one of weight 0.05 would.
    fn effect(suspects: &[(usize, f64)]) -> Effect {
        let charge = |(number, weight): &(usize, f64)| Charge {
            number: *number,
            weight: *weight,
            rate: *weight,
        };
        Effect {
            none: 1.0,
            leak: PRICE * 0.05,
            suspects: suspects.iter().map(charge).collect(),
            is_news: true,
            ..Effect::default()
        }
    }

    fn share(effects: &[Effect], of: usize, suspect: usize) -> f64 {
        let suspects = effects.iter().flat_map(|effect| &effect.suspects);
        let most = suspects.map(|charge| charge.number).max().unwrap_or(0);
        solve(&vec![PRICE; most + 1], effects)[of].suspects[suspect]
    }

    #[test]
    fn shares_are_all_there_is() {
        let effects = [effect(&[(0, 0.8), (1, 0.3)]), effect(&[(1, 0.5)])];
        for shares in solve(&[PRICE, PRICE], &effects) {
            let sum: f64 = shares.suspects.iter().sum::<f64>() + shares.leak;
            assert!((sum - 1.0).abs() < 1e-9, "{shares:?}");
        }
    }

    #[test]
    fn one_cause_of_many_symptoms_beats_as_many_coincidences() {
        let alone = share(&[effect(&[(0, 0.2)])], 0, 0);
        let of_three = share(&vec![effect(&[(0, 0.2)]); 3], 0, 0);
        assert!(alone < 0.82 && of_three > 0.99, "{alone} {of_three}");
    }

    #[test]
    fn what_is_no_news_is_put_down_to_what_is_at_fault_and_changes_nothing() {
        let again = Effect {
            is_news: false,
            ..effect(&[(0, 0.2)])
        };
        let one = effect(&[(0, 0.2)]);
        let both = [one.clone(), again];
        assert!((share(&[one], 0, 0) - share(&both, 0, 0)).abs() < 1e-9);
        assert!((share(&both, 0, 0) - share(&both, 1, 0)).abs() < 1e-9);
    }

    #[test]
    fn what_explains_all_takes_from_what_explains_a_part() {
        let both = [(0, 0.8), (1, 0.6)];
        let rivals = share(&[effect(&both)], 0, 1);
        let with_more = share(&[effect(&both), effect(&[(0, 0.8)])], 0, 1);
        assert!(rivals > 0.3 && with_more < 0.1, "{rivals} {with_more}");
    }

    #[test]
    fn equals_share_and_what_is_apart_stays_apart() {
        let equals = [effect(&[(0, 0.8), (1, 0.8)]), effect(&[(0, 0.8), (1, 0.8)])];
        assert!((share(&equals, 0, 0) - share(&equals, 0, 1)).abs() < 1e-9);
        let apart = [
            effect(&[(0, 0.8)]),
            effect(&[(0, 0.8)]),
            effect(&[(1, 0.8)]),
            effect(&[(1, 0.8)]),
        ];
        assert!(share(&apart, 0, 0) > 0.99 && share(&apart, 2, 0) > 0.99);
    }

    #[test]
    fn a_known_cause_leaves_little_to_a_suspect() {
        let known = Effect {
            rate: 0.9,
            none: 0.1,
            ..effect(&[(0, 0.8)])
        };
        assert!(share(&[known], 0, 0) < 0.1);
    }
}
