//! When is memory growing, rather than warming up or breathing? A straight line through the recent samples, judged by how
//! well it fits, how long it has lasted and where it leads.

use std::collections::VecDeque;

/// Samples kept: a minute at one a second, a quarter of that at the fast rate.
const MOST_SAMPLES: usize = 60;
/// A line through fewer samples is a guess.
const LEAST_SAMPLES: usize = 5;
/// Growth that lasts less is a start-up, however near the limit is.
const LEAST_SPAN_NS: u64 = 1_500_000_000;
/// Where nobody is in a hurry growth has to last as long as this: on a busy machine a start-up takes seconds.
const PATIENT_SPAN_NS: u64 = 10_000_000_000;
/// Growth is told from a start-up when it has lasted for this part of the time that is left to the limit: most of that time
/// is still there to act.
const PART_OF_TIME_LEFT: u64 = 4;
/// Share of the variance that the line must explain.
const LEAST_FIT: f64 = 0.9;
/// Growth by less than this share of the limit (or of what was used at first) is breathing.
const LEAST_SHARE: f64 = 0.05;
/// … and less than this is noise of the page allocator's per-CPU batches.
const LEAST_BYTES: f64 = 1024.0 * 1024.0;
/// Nobody acts on a limit that is reached later than this.
const HORIZON_SECONDS: f64 = 3600.0;

/// The recent memory of one control group.
#[derive(Debug, Clone, Default)]
pub struct Trend {
    /// Time (ns) and bytes, oldest first.
    samples: VecDeque<(u64, u64)>,
}

/// Memory that grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Slope, bytes per second.
    pub rate_bytes_per_second: f64,
    /// Where the line begins.
    pub start_bytes: u64,
    /// Coefficient of determination, 0 to 1.
    pub fit: f64,
    /// Time to the limit at this rate, ns; `None` without a limit.
    pub time_to_limit_ns: Option<u64>,
}

impl Trend {
    /// Adds a sample. One that is not newer than the last is ignored; a drop by a tenth begins anew, since what was freed
    /// did not leak.
    pub fn add(&mut self, time_ns: u64, bytes: u64) {
        let Some((last_ns, last_bytes)) = self.samples.back().copied() else {
            return self.samples.push_back((time_ns, bytes));
        };
        if time_ns <= last_ns {
            return;
        }
        if bytes < last_bytes - last_bytes / 10 {
            self.samples.clear();
        }
        if self.samples.len() >= MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((time_ns, bytes));
    }

    /// Whether the newest step is large enough to look more often.
    pub fn is_moving(&self, limit_bytes: Option<u64>) -> bool {
        let mut newest = self.samples.iter().rev();
        let (Some((_, last)), Some((_, before))) = (newest.next(), newest.next()) else {
            return false;
        };
        let scale = limit_bytes.unwrap_or(*last);
        last.saturating_sub(*before) > scale / 100
    }

    /// The growth, if that is what the samples show: along the straightest line that ends now. A level before it is no part
    /// of that line, and neither is a slow start.
    pub fn growth(&self, limit_bytes: Option<u64>) -> Option<Growth> {
        let samples: Vec<_> = self.samples.iter().copied().collect();
        if let [.., (_, before), (_, last)] = samples.as_slice()
            && last <= before
        {
            return None;
        }
        let lines = (0..samples.len()).filter_map(|start| growth_along(samples.get(start..)?, limit_bytes));
        lines.max_by(|one, other| one.fit.total_cmp(&other.fit))
    }
}

/// The growth, if all these samples show it.
fn growth_along(samples: &[(u64, u64)], limit_bytes: Option<u64>) -> Option<Growth> {
    let ((first_ns, start_bytes), (last_ns, usage_bytes)) = (*samples.first()?, *samples.last()?);
    let grown = to_f64(usage_bytes.saturating_sub(start_bytes));
    let least = (LEAST_SHARE * to_f64(limit_bytes.unwrap_or(start_bytes))).max(LEAST_BYTES);
    let span_ns = last_ns - first_ns;
    if samples.len() < LEAST_SAMPLES || span_ns < LEAST_SPAN_NS || grown < least {
        return None;
    }
    let (rate, fit) = line(samples);
    if rate <= 0.0 || fit < LEAST_FIT {
        return None;
    }
    let seconds_left = limit_bytes.map(|limit| to_f64(limit.saturating_sub(usage_bytes)) / rate);
    let matters = seconds_left.is_none_or(|seconds| seconds <= HORIZON_SECONDS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative: a cast ends at the largest"
    )]
    let time_to_limit_ns = seconds_left.map(|seconds| (seconds * 1e9) as u64);
    (matters && span_ns >= least_span_ns(time_to_limit_ns)).then_some(Growth {
        rate_bytes_per_second: rate,
        start_bytes,
        fit,
        time_to_limit_ns,
    })
}

/// How long growth has to last to be told, where that much time is left to the limit.
fn least_span_ns(time_to_limit_ns: Option<u64>) -> u64 {
    time_to_limit_ns.map_or(PATIENT_SPAN_NS, |left_ns| {
        (left_ns / PART_OF_TIME_LEFT).clamp(LEAST_SPAN_NS, PATIENT_SPAN_NS)
    })
}

/// Least-squares slope in bytes per second, and its coefficient of determination.
fn line(samples: &[(u64, u64)]) -> (f64, f64) {
    let first_ns = samples.first().map_or(0, |(time_ns, _)| *time_ns);
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|(time_ns, bytes)| (to_f64(time_ns - first_ns) / 1e9, to_f64(*bytes)))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "at most MOST_SAMPLES")]
    let count = points.len() as f64;
    let (sum_t, sum_b) = points
        .iter()
        .fold((0.0, 0.0), |(t, b), point| (t + point.0, b + point.1));
    let (mean_t, mean_b) = (sum_t / count, sum_b / count);
    let (mut tt, mut tb, mut bb) = (0.0, 0.0, 0.0);
    for (t, b) in points {
        tt += (t - mean_t) * (t - mean_t);
        tb += (t - mean_t) * (b - mean_b);
        bb += (b - mean_b) * (b - mean_b);
    }
    if tt == 0.0 || bb == 0.0 {
        return (0.0, 0.0);
    }
    (tb / tt, tb * tb / (tt * bb))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and ns of a minute are below 2^52"
)]
fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const LIMIT: Option<u64> = Some(64 * MIB);

    fn trend(samples: impl IntoIterator<Item = u64>) -> Trend {
        let mut trend = Trend::default();
        for (tick, bytes) in (0..).zip(samples) {
            trend.add(tick * 250_000_000, bytes);
        }
        trend
    }

    #[test]
    fn a_leak_is_seen_before_its_limit_with_rate_and_time_left() {
        let growth = trend((0..9).map(|tick| 8 * MIB + tick * 3 * MIB))
            .growth(LIMIT)
            .unwrap();
        assert!((growth.rate_bytes_per_second - 12.0 * 1_048_576.0).abs() < 1000.0);
        assert_eq!(growth.time_to_limit_ns.unwrap() / 1_000_000, 2666);
        assert!(growth.fit > 0.99);
    }

    #[test]
    fn a_level_or_a_slow_start_before_the_growth_does_not_blur_its_line() {
        for creep in [0, MIB / 100] {
            let before = (0..30).map(|tick| 8 * MIB + tick * creep);
            let leak = (1..9).map(|tick| 9 * MIB + tick * 3 * MIB);
            let growth = trend(before.chain(leak)).growth(LIMIT).unwrap();
            let rate = growth.rate_bytes_per_second / to_f64(MIB);
            assert!((11.0..13.0).contains(&rate), "{rate} MiB/s after {creep}");
        }
    }

    #[test]
    fn a_pause_does_not_hide_the_growth_around_it() {
        let paused = [0, 3, 6, 9, 12, 12, 15, 18].map(|grown| (8 + grown) * MIB);
        let growth = trend(paused).growth(LIMIT).unwrap();
        assert!(growth.start_bytes <= 11 * MIB);
        assert_eq!(
            trend(paused.into_iter().take(6)).growth(LIMIT),
            None,
            "it stands still"
        );
    }

    #[test]
    fn start_up_level_and_breathing_are_no_growth() {
        assert_eq!(
            trend((0..5).map(|tick| tick * 4 * MIB)).growth(LIMIT),
            None,
            "one second of start-up"
        );
        assert_eq!(trend(std::iter::repeat_n(40 * MIB, 60)).growth(LIMIT), None);
        assert_eq!(
            trend((0..60).map(|tick| 40 * MIB + (tick % 4) * MIB)).growth(LIMIT),
            None
        );
        assert_eq!(
            trend((0..60).map(|tick| 8 * MIB + tick * 1024)).growth(LIMIT),
            None,
            "hours away"
        );
    }

    #[test]
    fn without_a_limit_a_few_seconds_of_growth_are_a_start_up_and_more_are_none() {
        let grown = |ticks| trend((0..ticks).map(|tick| 8 * MIB + tick * MIB / 2));
        assert_eq!(grown(30).growth(None), None);
        assert!(grown(30).growth(LIMIT).is_some(), "it is on its way to a limit");
        assert!(grown(45).growth(None).is_some());
    }

    #[test]
    fn a_limit_that_is_far_leaves_time_to_tell_growth_from_a_start_up() {
        // A sixteenth of the limit each second: two seconds of it, with more than ten left.
        let grown = |ticks| trend((0..ticks).map(|tick| 8 * MIB + tick * MIB));
        assert_eq!(grown(10).growth(LIMIT), None);
        let told_after = (0..60)
            .find(|ticks| grown(*ticks).growth(LIMIT).is_some())
            .unwrap();
        assert!(
            (11..=16).contains(&told_after),
            "{told_after} quarters of a second"
        );
    }

    #[test]
    fn what_was_freed_did_not_leak() {
        let mut trend = trend((0..9).map(|tick| 8 * MIB + tick * 3 * MIB));
        trend.add(10_000_000_000, 8 * MIB);
        assert_eq!(trend.growth(LIMIT), None);
    }
}
