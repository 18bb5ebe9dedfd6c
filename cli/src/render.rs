//! An incident as text for a terminal: a line per revision while it grows, the whole of it at the end.

mod full;
mod why;

// Writing to a String cannot fail: the results are dropped.
use std::fmt::Write as _;

use anstyle::Style;
use bus_schema::Severity;
use bus_schema::incident::{Incident, Role, State, Step};

use crate::output::{BAD, FAINT, GOOD, STRONG, styled};

pub use full::full;
pub use why::{why, why_not};

/// `INC-01JD…`: enough of the id to name it.
pub fn short_id(incident: &Incident) -> String {
    /// Ten symbols are the time, four more tell incidents of one moment apart.
    const SHORT: usize = 14;
    format!(
        "INC-{}",
        incident.id.to_string().chars().take(SHORT).collect::<String>()
    )
}

/// One revision in one line.
pub fn line(incident: &Incident) -> String {
    format!(
        "{}  {}  {}  {}  {} steps  {:.0} %  {}",
        styled(STRONG, short_id(incident)),
        severity(incident.severity),
        life(incident),
        path(incident),
        incident.steps.len(),
        incident.confidence * 100.0,
        styled(
            FAINT,
            format_args!(
                "revision {} at {}",
                incident.revision,
                incident.updated_at.clock()
            )
        ),
    )
}

/// The final form, without evidence.
pub fn summary(incident: &Incident) -> String {
    let mut text = format!(
        "{}  {}  {}     {}\n",
        styled(STRONG, short_id(incident)),
        severity(incident.severity),
        life(incident),
        path(incident)
    );
    for step in timeline(incident) {
        text.push_str(&step);
    }
    let _ = writeln!(text, "\"{}\"", incident.narrative);
    text.push_str(&advice(incident));
    text.push_str(&rejected(incident));
    text.push_str(&closing(incident));
    text
}

fn severity(severity: Severity) -> String {
    let style = match severity {
        Severity::Info => FAINT,
        Severity::Notice | Severity::Warning => Style::new(),
        Severity::Error | Severity::Critical => BAD,
    };
    styled(style, severity.as_str())
}

fn life(incident: &Incident) -> String {
    let updates = incident.revision.saturating_sub(1);
    match (incident.state, updates) {
        (State::Open, _) => "open".to_owned(),
        (State::Updated, 0 | 1) => "open → updated".to_owned(),
        (State::Updated, times) => format!("open → updated ×{times}"),
        (State::Merged, _) => "open → merged".to_owned(),
        (State::Resolved, _) => styled(GOOD, "open → resolved"),
    }
}

/// `cache v7.0 → gateway → users`: the root, then who is hurt, in that order.
fn path(incident: &Incident) -> String {
    let Some(root) = incident.root_cause() else {
        return incident.workload.clone();
    };
    let version = match root.facts.get("new_tag").or_else(|| root.facts.get("new")) {
        Some(bus_schema::episode::Fact::Text(version)) => format!(" {version}"),
        Some(bus_schema::episode::Fact::Number(_)) | None => String::new(),
    };
    let mut labels = vec![root.label.as_str()];
    for step in &incident.steps {
        if !labels.contains(&step.label.as_str()) {
            labels.push(&step.label);
        }
    }
    let rest: Vec<_> = labels.iter().skip(1).map(|label| format!(" → {label}")).collect();
    format!("{}{version}{}", root.label, rest.concat())
}

fn timeline(incident: &Incident) -> Vec<String> {
    let width = |of: fn(&Step) -> &str| {
        let lengths = incident.steps.iter().map(|step| of(step).chars().count());
        lengths.max().unwrap_or(0)
    };
    let (label_width, text_width) = (width(|step| &step.label), width(|step| &step.text));
    let line = |step: &Step| {
        let line = format!(
            "  {}  {:label_width$}  {:text_width$}  {}",
            styled(FAINT, step.start.clock()),
            step.label,
            step.text,
            part(step),
        );
        format!("{}\n", line.trim_end())
    };
    incident.steps.iter().map(line).collect()
}

/// What the step is in the chain; most need no word.
fn part(step: &Step) -> &'static str {
    match (step.role, step.condition.as_str()) {
        (Role::RootCause, _) => "root cause",
        (Role::Intermediate | Role::Symptom, "memory_growth") => "leak",
        (Role::Intermediate | Role::Symptom, _) => "",
    }
}

fn advice(incident: &Incident) -> String {
    let mut text = format!("Confidence {:.0} %.", incident.confidence * 100.0);
    if let Some(advice) = &incident.recommendation {
        let _ = write!(text, "   {}", advice.action);
        if !advice.command.is_empty() {
            let _ = write!(text, ": {}", styled(STRONG, &advice.command));
        }
        if !advice.healed_when.is_empty() {
            let _ = write!(text, "; healed when {}.", advice.healed_when);
        }
    }
    text.push('\n');
    text
}

fn rejected(incident: &Incident) -> String {
    if incident.rejected.is_empty() {
        return String::new();
    }
    let each = incident.rejected.iter();
    let each: Vec<_> = each
        .map(|rejected| format!("{} ({})", rejected.hypothesis, rejected.because))
        .collect();
    format!("Rejected: {}\n", each.join(" · "))
}

fn closing(incident: &Incident) -> String {
    let opened = crate::clock::milliseconds_between(incident.first_symptom_at, incident.opened_at) / 1e3;
    let mut parts = vec![
        format!("Opened {opened:.1} s after the first symptom"),
        format!("{} events lost", incident.completeness.lost_events),
    ];
    parts.extend(
        incident
            .completeness
            .blind
            .iter()
            .map(|blind| format!("blind: {blind}")),
    );
    parts.push(format!(
        "tail it: nats sub '{}'",
        crate::nats::incidents_subject()
    ));
    format!("{}\n", parts.join(" · "))
}
