//! From rows and costs to the few numbers that a campaign is judged by, each beside its bound.

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::cost::Cost;
use super::scenario::Kind;
use super::score::{Row, Verdict};

/// Of the faults whose cause an observer sees, at least this share has the right root.
const RIGHT_ROOTS: f64 = 0.9;
/// Incidents that a fault may give, on average.
const INCIDENTS_PER_FAULT: f64 = 1.2;
/// From the first symptom to the incident: at most, and for half of them.
const OPENED_SECONDS: (f64, f64) = (2.0, 1.0);
/// Event time behind the clock that one look in a hundred may exceed.
const LAG_MS: f64 = 2_000.0;
/// Processors of one correlator, on average.
const CORRELATOR_CORES: f64 = 0.1;
/// Memory may grow by this share after the first ten minutes.
const GROWTH: f64 = 0.1;

/// A number beside its bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is measured.
    pub what: String,
    /// What it is.
    pub value: String,
    /// What it has to be.
    pub bound: String,
    /// Whether it is.
    pub met: bool,
}

fn check(what: &str, value: String, bound: String, met: bool) -> Check {
    Check {
        what: what.to_owned(),
        value,
        bound,
        met,
    }
}

/// Everything that has a bound. What could not be measured is left out.
pub fn checks(rows: &[Row], costs: &[Cost], leases_lost: usize) -> Vec<Check> {
    let mut checks = checks_of_rows(rows);
    checks.extend(of_costs(costs));
    checks.push(check(
        "leases lost",
        leases_lost.to_string(),
        "0".into(),
        leases_lost == 0,
    ));
    checks
}

/// Faults that were played to their end: what nobody noticed is no fault.
fn faults(rows: &[Row]) -> impl Iterator<Item = &Row> + Clone {
    rows.iter()
        .filter(|row| row.kind == Kind::Fault && row.played.failure.is_none())
}

/// What has a bound of what was told.
#[expect(clippy::cast_precision_loss, reason = "a few dozen rows")]
pub fn checks_of_rows(rows: &[Row]) -> Vec<Check> {
    let mut checks = Vec::new();
    let observed: Vec<_> = faults(rows).filter(|row| row.observed).collect();
    if !observed.is_empty() {
        let right = |least: Verdict| observed.iter().filter(|row| row.root >= least).count();
        let (whole, object) = (right(Verdict::Right), right(Verdict::Object));
        let of = observed.len();
        checks.push(check(
            "right roots of observed causes",
            format!("{whole} of {of} (right object: {object})"),
            format!("≥ {:.0} %", RIGHT_ROOTS * 100.0),
            whole as f64 / of as f64 >= RIGHT_ROOTS,
        ));
        let incidents: usize = faults(rows).map(|row| row.incidents).sum();
        let each = incidents as f64 / faults(rows).count() as f64;
        let bound = format!("≤ {INCIDENTS_PER_FAULT}");
        checks.push(check(
            "incidents a fault",
            format!("{each:.2}"),
            bound,
            each <= INCIDENTS_PER_FAULT,
        ));
        checks.extend(of_delays(&observed));
    }
    let controls: Vec<_> = rows.iter().filter(|row| row.kind == Kind::Control).collect();
    if !controls.is_empty() {
        let false_ones: usize = controls.iter().map(|row| row.incidents).sum();
        let value = format!("{false_ones} in {}", controls.len());
        checks.push(check("incidents in controls", value, "0".into(), false_ones == 0));
    }
    checks
}

fn of_delays(observed: &[&Row]) -> Vec<Check> {
    let delays = sorted(observed.iter().filter_map(|row| row.opened_after_symptom));
    let Some((median, longest)) = percentile(&delays, 50).zip(delays.last().copied()) else {
        return Vec::new();
    };
    let (most, half) = OPENED_SECONDS;
    let within = |bound: f64| format!("≤ {bound} s");
    vec![
        check(
            "opened after the first symptom, at most",
            format!("{longest:.1} s"),
            within(most),
            longest <= most,
        ),
        check(
            "opened after the first symptom, median",
            format!("{median:.1} s"),
            within(half),
            median <= half,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn of_costs(costs: &[Cost]) -> Vec<Check> {
    let mut checks = Vec::new();
    for cost in costs {
        let who = &cost.process;
        if who.contains("correlator") {
            checks.push(check(
                &format!("cores of {who}"),
                format!("{:.3}", cost.cores),
                format!("≤ {CORRELATOR_CORES}"),
                cost.cores <= CORRELATOR_CORES,
            ));
        }
        if let Some((first, last)) = cost.lag_first.zip(cost.lag_last) {
            checks.push(check(
                &format!("lag p99 of {who}, first and last"),
                format!("{:.1} s, {:.1} s", first.p99_ms / 1e3, last.p99_ms / 1e3),
                format!("≤ {} s", LAG_MS / 1e3),
                first.p99_ms <= LAG_MS && last.p99_ms <= LAG_MS,
            ));
        }
        if let Some(settled) = cost.settled_kb {
            checks.push(check(
                &format!("memory of {who} after ten minutes and at the end"),
                format!("{} MB, {} MB", settled / 1024, cost.end_kb / 1024),
                format!("≤ +{:.0} %", GROWTH * 100.0),
                cost.end_kb as f64 <= settled as f64 * (1.0 + GROWTH),
            ));
        }
    }
    checks
}

/// Numbers without a bound: medians and shares, for the eye.
#[expect(clippy::cast_precision_loss, reason = "a few dozen rows")]
pub fn remarks(rows: &[Row]) -> Vec<(String, String)> {
    let told: Vec<_> = faults(rows).collect();
    let mut remarks = Vec::new();
    let mut delay = |what: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        let delays = sorted(told.iter().filter_map(|row| of(row)));
        if let Some((median, p99)) = percentile(&delays, 50).zip(percentile(&delays, 99)) {
            remarks.push((what.to_owned(), format!("median {median:.1} s, p99 {p99:.1} s")));
        }
    };
    delay("opened after the fault", &|row| row.opened_after_fault);
    delay("right root after the fault", &|row| row.right_root_after);
    let mut share = |what: &str, found: usize, of: usize| {
        if of > 0 {
            remarks.push((what.to_owned(), format!("{found} of {of}")));
        }
    };
    let sum = |of: &dyn Fn(&Row) -> usize| told.iter().map(|row| of(row)).sum::<usize>();
    share(
        "links of the true chains told in order",
        sum(&|row| row.chain.0),
        sum(&|row| row.chain.1),
    );
    share(
        "affected workloads told",
        sum(&|row| row.affected.0),
        sum(&|row| row.affected.1),
    );
    let advised = |row: &Row| usize::from(row.advice == Some(true));
    share(
        "advice that would heal",
        sum(&advised),
        sum(&|row| usize::from(row.advice.is_some())),
    );
    let healed = |row: &Row| usize::from(row.played.healed == Some(true));
    share(
        "advice that healed",
        sum(&healed),
        sum(&|row| usize::from(row.played.healed.is_some())),
    );
    share(
        "faults with a blameless root",
        sum(&|row| usize::from(!row.blamed.is_empty())),
        told.len(),
    );
    let squares = told.iter().filter_map(|row| {
        let right = f64::from(u8::from(row.root == Verdict::Right));
        Some((row.confidence? - right).powi(2))
    });
    let squares: Vec<f64> = squares.collect();
    if !squares.is_empty() {
        let brier = squares.iter().sum::<f64>() / squares.len() as f64;
        remarks.push(("Brier score of the confidence".into(), format!("{brier:.3}")));
    }
    remarks
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get(sorted.len() * percent / 100).copied()
}
