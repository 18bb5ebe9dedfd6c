//! Whether memory stays where it is: judged on the last half of a run, when caches are full.

use serde::Serialize;

/// Memory may range this far around its middle over the last half, percent.
const FLAT_WITHIN_PERCENT: f64 = 5.0;

/// The memory of one process over a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// First sample.
    pub start_kb: u64,
    /// Sample in the middle of the run.
    pub middle_kb: u64,
    /// Last sample.
    pub end_kb: u64,
    /// Half the range over the last half, as a share of its middle.
    pub range_percent: f64,
    /// Whether it lived to the end and kept within bounds.
    pub flat: bool,
}

impl Judgement {
    /// Judges samples taken at even intervals, `expected` of them in a whole run. `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
    pub fn of(samples_kb: &[u64], expected: usize) -> Option<Self> {
        let last_half = samples_kb.get(samples_kb.len() / 2..)?;
        let (least, most) = (*last_half.iter().min()?, *last_half.iter().max()?);
        let range_percent = (most - least) as f64 / (most + least).max(1) as f64 * 100.0;
        Some(Self {
            start_kb: *samples_kb.first()?,
            middle_kb: *last_half.first()?,
            end_kb: *samples_kb.last()?,
            range_percent,
            flat: samples_kb.len() >= expected && range_percent <= FLAT_WITHIN_PERCENT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: usize = 100;

    fn judge(kilobytes: impl Fn(u64) -> u64) -> Judgement {
        let samples: Vec<_> = (0..SAMPLES as u64).map(kilobytes).collect();
        Judgement::of(&samples, SAMPLES).unwrap()
    }

    #[test]
    fn growth_while_caches_fill_is_no_leak_but_growth_that_goes_on_is() {
        let filling = judge(|second| 10_000 + 200 * second.min(40));
        assert!(filling.flat, "{filling:?}");
        assert_eq!(
            (filling.start_kb, filling.middle_kb, filling.end_kb),
            (10_000, 18_000, 18_000)
        );
        let leaking = judge(|second| 10_000 + 200 * second);
        assert!(!leaking.flat, "{leaking:?}");
    }

    #[test]
    fn the_bound_is_five_percent_to_either_side() {
        let swinging = |by: u64| judge(move |second| 10_000 + by - 2 * by * (second % 2));
        assert!(swinging(500).flat);
        assert!(!swinging(501).flat);
        assert!((swinging(500).range_percent - 5.0).abs() < 1e-9);
    }

    #[test]
    fn who_died_on_the_way_was_not_flat() {
        let samples = [10_000; SAMPLES];
        assert!(Judgement::of(&samples, SAMPLES).unwrap().flat);
        assert!(!Judgement::of(&samples[..SAMPLES - 1], SAMPLES).unwrap().flat);
        assert_eq!(Judgement::of(&[], SAMPLES), None);
    }
}
