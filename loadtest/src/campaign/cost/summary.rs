//! From samples to what a process cost: means, the level of memory, and lag at the beginning and at the end.

use serde::Serialize;

use super::Sample;

/// Costs are told for each ten minutes; memory is to keep the level that it has after the first.
const SPAN_SECONDS: f64 = 600.0;

/// The lag over some time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LagSpan {
    /// Half of the looks saw less.
    pub p50_ms: f64,
    /// All but one in a hundred saw less.
    pub p99_ms: f64,
}

/// What one process cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Pod and container.
    pub process: String,
    /// How long it was watched, in seconds.
    pub seconds: f64,
    /// Processors it used, on average.
    pub cores: f64,
    /// The same for each ten minutes, the last ones perhaps shorter.
    pub cores_by_span: Vec<f64>,
    /// Memory at first.
    pub start_kb: u64,
    /// Memory after ten minutes, where it was watched for longer.
    pub settled_kb: Option<u64>,
    /// Memory at last.
    pub end_kb: u64,
    /// Lag at the beginning: the first ten minutes, or half of a shorter run.
    pub lag_first: Option<LagSpan>,
    /// Lag at the end, over as long a time.
    pub lag_last: Option<LagSpan>,
}

impl Cost {
    /// The cost by samples in order of time. `None` without any.
    pub fn of(process: &str, samples: &[Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let seconds = last.second - first.second;
        let span = SPAN_SECONDS.min(seconds / 2.0);
        let settled = samples
            .iter()
            .find(|sample| sample.second - first.second >= SPAN_SECONDS);
        Some(Self {
            process: process.to_owned(),
            seconds,
            cores: cores(samples),
            cores_by_span: spans(samples, first.second).map(cores).collect(),
            start_kb: first.resident_kb,
            settled_kb: settled.map(|sample| sample.resident_kb),
            end_kb: last.resident_kb,
            lag_first: lag(samples
                .iter()
                .filter(|sample| sample.second - first.second <= span)),
            lag_last: lag(samples
                .iter()
                .filter(|sample| last.second - sample.second <= span)),
        })
    }
}

/// Samples of each ten minutes.
fn spans(samples: &[Sample], begin: f64) -> impl Iterator<Item = &[Sample]> {
    let number = move |sample: &Sample| ((sample.second - begin) / SPAN_SECONDS).floor();
    samples.chunk_by(move |a, b| number(a).total_cmp(&number(b)).is_eq())
}

/// Processor time by time. A process that replaced another began at zero, and what the other did after the last look at it
/// is not known.
fn cores(samples: &[Sample]) -> f64 {
    let used = samples.windows(2).map(|pair| match pair {
        [a, b] if a.pid == b.pid => b.cpu_seconds - a.cpu_seconds,
        [_, b] => b.cpu_seconds,
        _ => 0.0,
    });
    let seconds = samples
        .first()
        .zip(samples.last())
        .map_or(0.0, |(first, last)| last.second - first.second);
    if seconds > 0.0 {
        used.sum::<f64>() / seconds
    } else {
        0.0
    }
}

fn lag<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<LagSpan> {
    let mut lags: Vec<f64> = samples.filter_map(|sample| sample.lag_ms).collect();
    lags.sort_by(f64::total_cmp);
    Some(LagSpan {
        p50_ms: *lags.get(lags.len() / 2)?,
        p99_ms: *lags.get(lags.len() * 99 / 100)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look every two seconds for twenty minutes: a tenth of a core, memory and lag that grow.
    fn growing() -> Vec<Sample> {
        (0..=600_u32)
            .map(|n| Sample {
                second: f64::from(n) * 2.0,
                pid: 7,
                cpu_seconds: f64::from(n) * 0.2,
                resident_kb: u64::from(10_000 + n),
                lag_ms: Some(f64::from(n)),
            })
            .collect()
    }

    #[test]
    fn beginning_and_end_are_told_apart() {
        let cost = Cost::of("c", &growing()).unwrap();
        assert!((cost.cores - 0.1).abs() < 1e-9, "{cost:?}");
        assert_eq!(
            (cost.start_kb, cost.settled_kb, cost.end_kb),
            (10_000, Some(10_300), 10_600)
        );
        let (first, last) = (cost.lag_first.unwrap(), cost.lag_last.unwrap());
        assert!(first.p99_ms <= 300.0 && last.p50_ms >= 450.0, "{cost:?}");
        assert_eq!(cost.cores_by_span.len(), 3);
    }

    #[test]
    fn a_process_that_was_started_again_has_not_given_time_back() {
        let mut samples = growing();
        for sample in samples.iter_mut().skip(300) {
            sample.pid = 8;
            sample.cpu_seconds -= 60.0;
        }
        let cost = Cost::of("c", &samples).unwrap();
        assert!((cost.cores - 0.1).abs() < 0.001, "{cost:?}");
    }

    #[test]
    fn who_was_not_seen_has_no_cost_and_who_has_no_lag_tells_none() {
        assert_eq!(Cost::of("c", &[]), None);
        let mut samples = growing();
        for sample in &mut samples {
            sample.lag_ms = None;
        }
        assert_eq!(Cost::of("c", &samples).unwrap().lag_first, None);
    }
}
