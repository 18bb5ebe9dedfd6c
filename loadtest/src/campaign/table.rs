//! Rows, sums and costs as text for a terminal.

use std::fmt::Write as _;

use super::cost::{Cost, LagSpan};
use super::scenario::Kind;
use super::score::{Row, Verdict};
use super::sums::Check;

/// One line for each fault and each control.
pub fn rows(rows: &[Row]) -> String {
    let mut lines = vec![head(&[
        "scenario",
        "users saw",
        "opened after fault",
        "after symptom",
        "right root after",
        "root",
        "incidents",
        "chain",
        "advice",
        "healed",
        "confidence",
        "told as the root",
    ])];
    lines.extend(rows.iter().map(row));
    columns(&lines)
}

fn row(row: &Row) -> Vec<String> {
    let effect = &row.played.effect;
    let mut saw = format!("{}/{} failed", effect.failed, effect.requests);
    if effect.slow > 0 {
        let _ = write!(saw, ", {} slow", effect.slow);
    }
    let is_fault = row.kind == Kind::Fault;
    let root = match row.root {
        _ if !is_fault && row.incidents == 0 => "none, as it should be",
        _ if !is_fault => "FALSE ALARM",
        Verdict::Right => "right",
        Verdict::Object => "object only",
        Verdict::Wrong => "WRONG",
        Verdict::Untold => "UNTOLD",
    };
    let root = match (&row.played.failure, row.blamed.is_empty()) {
        (Some(why), _) => format!("not played: {why}"),
        (None, false) => format!("{root}, blames {}", row.blamed.join(" ")),
        (None, true) => format!(
            "{root}{}",
            if is_fault && !row.observed {
                " (cause not observed)"
            } else {
                ""
            }
        ),
    };
    vec![
        row.name.clone(),
        saw,
        seconds(row.opened_after_fault),
        seconds(row.opened_after_symptom),
        seconds(row.right_root_after),
        root,
        row.incidents.to_string(),
        if row.chain.1 == 0 {
            "-".into()
        } else {
            format!("{}/{}", row.chain.0, row.chain.1)
        },
        yes_or_no(row.advice),
        yes_or_no(row.played.healed),
        row.confidence
            .map_or_else(|| "-".into(), |share| format!("{:.0} %", share * 100.0)),
        row.told.clone().unwrap_or_else(|| "-".into()),
    ]
}

/// The sentences that were told, for whoever wants to know what went wrong.
pub fn narratives(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !row.narratives.is_empty()) {
        let _ = writeln!(text, "{}", row.name);
        for narrative in &row.narratives {
            let _ = writeln!(text, "  {narrative}");
        }
    }
    text
}

/// One line for each process of the product.
pub fn costs(costs: &[Cost]) -> String {
    let mut lines = vec![head(&[
        "process",
        "cores",
        "by ten minutes",
        "memory at first",
        "after ten minutes",
        "at last",
        "lag p50/p99 at first",
        "at last",
    ])];
    let megabytes = |kilobytes: u64| format!("{} MB", kilobytes / 1024);
    let lag = |span: Option<LagSpan>| {
        span.map_or_else(
            || "-".into(),
            |span| format!("{:.2}/{:.2} s", span.p50_ms / 1e3, span.p99_ms / 1e3),
        )
    };
    lines.extend(costs.iter().map(|cost| {
        let spans: Vec<_> = cost
            .cores_by_span
            .iter()
            .map(|cores| format!("{cores:.3}"))
            .collect();
        vec![
            cost.process.clone(),
            format!("{:.3}", cost.cores),
            spans.join(" "),
            megabytes(cost.start_kb),
            cost.settled_kb.map_or_else(|| "-".into(), megabytes),
            megabytes(cost.end_kb),
            lag(cost.lag_first),
            lag(cost.lag_last),
        ]
    }));
    columns(&lines)
}

/// Every bound, met or not, and what else is worth a look.
pub fn sums(checks: &[Check], remarks: &[(String, String)]) -> String {
    let mut lines = vec![head(&["sum", "measured", "bound", ""])];
    lines.extend(checks.iter().map(|check| {
        let met = if check.met { "met" } else { "NOT MET" };
        vec![
            check.what.clone(),
            check.value.clone(),
            check.bound.clone(),
            met.into(),
        ]
    }));
    lines.extend(
        remarks
            .iter()
            .map(|(what, value)| vec![what.clone(), value.clone(), String::new(), String::new()]),
    );
    columns(&lines)
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |seconds| format!("{seconds:.1} s"))
}

fn yes_or_no(value: Option<bool>) -> String {
    value.map_or("-", |value| if value { "yes" } else { "no" }).into()
}

/// Cells below each other, as wide as the widest.
pub fn columns(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| Some(line.get(column)?.chars().count()))
            .max()
    };
    let widths: Vec<usize> = (0..count)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut padded = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(padded, "{cell:width$}  ");
        }
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_whatever_its_bytes() {
        let lines = [head(&["a", "b", "c"]), head(&["≤ 2 s", "", "x"])];
        assert_eq!(columns(&lines), "a      b  c\n≤ 2 s     x\n");
    }
}
