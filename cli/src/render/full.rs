//! Everything an incident holds: the summary, then each step with its causes and its evidence.

use std::fmt::Write;

use bus_schema::incident::{Incident, Role, Step};

use super::summary;
use crate::output::{FAINT, STRONG, styled};

/// The summary and all that it rests on.
pub fn full(incident: &Incident) -> String {
    let mut text = summary(incident);
    // Writing to a String cannot fail; the results are of no use.
    let _ = writeln!(text, "\n{}", styled(STRONG, "Steps"));
    for (place, step) in incident.steps.iter().enumerate() {
        let _ = writeln!(text, "{}", about(incident, place + 1, step));
    }
    if !incident.rejected.is_empty() {
        let _ = writeln!(text, "{}", styled(STRONG, "Rejected"));
    }
    for other in &incident.rejected {
        let verdict = if other.excluded { "excluded" } else { "less likely" };
        let _ = writeln!(
            text,
            "  {} ({verdict}, {:.1} % left): {}",
            other.hypothesis,
            other.probability * 100.0,
            other.because
        );
    }
    let _ = writeln!(
        text,
        "{}\n  {:.0} of 100: {}",
        styled(STRONG, "Impact"),
        incident.impact.score,
        incident.impact.workloads.join(", ")
    );
    let _ = write!(text, "{}", completeness(incident));
    text
}

fn about(incident: &Incident, number: usize, step: &Step) -> String {
    let part = match step.role {
        Role::RootCause => "root cause",
        Role::Intermediate => "cause and effect",
        Role::Symptom => "symptom",
    };
    let mut text = format!(
        "  {number}. {} {} on {}: {} ({part}, {}, ×{}, {} to {})\n",
        step.name,
        styled(FAINT, step.id),
        step.label,
        step.text,
        step.severity.as_str(),
        step.count,
        step.start.clock(),
        step.last.clock(),
    );
    for cause in &step.caused_by {
        let place = incident.steps.iter().position(|other| other.id == cause.step);
        let place = place.map_or_else(|| cause.step.to_string(), |place| format!("step {}", place + 1));
        let _ = writeln!(
            text,
            "     caused by {place}: {} ({:.0} %, rule {})",
            cause.mechanism,
            cause.strength * 100.0,
            cause.rule
        );
    }
    for exemplar in &step.exemplars {
        let _ = writeln!(
            text,
            "     seen in trace {} (span {})",
            exemplar.trace_id, exemplar.span_id
        );
    }
    let evidence: Vec<_> = step.evidence.iter().map(ToString::to_string).collect();
    let _ = write!(text, "     evidence {}", styled(FAINT, evidence.join(" ")));
    text
}

fn completeness(incident: &Incident) -> String {
    let seen = &incident.completeness;
    let mut text = format!(
        "{}\n  {:.0} %, {} events lost\n",
        styled(STRONG, "Completeness"),
        seen.score * 100.0,
        seen.lost_events
    );
    for blind in &seen.blind {
        let _ = writeln!(text, "  blind: {blind}");
    }
    let advice = incident.recommendation.as_ref();
    if let Some(advice) = advice.filter(|advice| !advice.precheck.is_empty()) {
        let _ = writeln!(
            text,
            "{}\n  {}",
            styled(STRONG, "Before you act"),
            advice.precheck
        );
    }
    text
}
