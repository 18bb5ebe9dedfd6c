//! What has to be explained in each scenario, and how an incident differs from it.

use bus_schema::Incident;
use serde::Serialize;

use super::args::Scenario;

/// What a round proved.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    scenario: Scenario,
    /// Every way in which the explanation differs from what happened; none when it is right.
    differences: Vec<String>,
    incident: Option<String>,
}

impl Verdict {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            differences: Vec::new(),
            incident: None,
        }
    }

    pub(super) fn is_right(&self) -> bool {
        self.differences.is_empty()
    }

    /// The differences, one a line.
    pub(super) fn text(&self) -> String {
        self.differences.join("\n")
    }

    pub(super) fn wrong(&mut self, difference: impl Into<String>) {
        self.differences.push(difference.into());
    }

    pub(super) fn extend(&mut self, differences: impl IntoIterator<Item = String>) {
        self.differences.extend(differences);
    }

    /// Holds the last revision against what is expected of it.
    pub(super) fn hold(&mut self, expected: &Expectation, got: &[Incident]) {
        let Some(last) = got.last() else {
            return self.wrong("expected an incident, got none");
        };
        self.incident = Some(last.id.to_string());
        self.extend(differences(expected, last));
        if got.iter().any(|incident| incident.id != last.id) {
            self.wrong("expected one incident, got several");
        }
    }

    /// Nothing may have been reported.
    pub(super) fn hold_silent(&mut self, got: &[Incident]) {
        if let Some(last) = got.last() {
            self.wrong(format!("expected no incident, got {}", last.narrative));
        }
    }
}

/// What the incident must say.
#[derive(Debug, Clone)]
pub(super) struct Expectation {
    pub(super) root: (&'static str, &'static str),
    /// Labels and conditions that must be steps, each no earlier than the one before.
    pub(super) steps: &'static [(&'static str, &'static str)],
    /// Who is hurt.
    pub(super) affected: &'static [&'static str],
    /// Who must not be named in steps or impact.
    pub(super) innocent: &'static [&'static str],
    /// What did not happen.
    pub(super) forbidden: &'static [&'static str],
    /// What the root cause's line must contain.
    pub(super) root_text: Vec<String>,
}

/// The expectation of a scenario; none where nothing may be reported.
pub(super) fn expectation(scenario: Scenario, killer: Option<u32>) -> Option<Expectation> {
    match scenario {
        Scenario::Healthy => None,
        Scenario::Leak => Some(Expectation {
            root: ("cache", "executable_changed"),
            steps: &[
                ("cache", "memory_growth"),
                ("cache", "oom_kill"),
                ("gateway", "connect_refused"),
                ("gateway", "http_5xx"),
                ("gateway", "retry_storm"),
                ("users", "retry_storm"),
            ],
            affected: &["cache", "gateway", "users"],
            innocent: &[],
            forbidden: &["signal_sent"],
            root_text: vec!["v7.0".into(), "v6.2".into()],
        }),
        Scenario::GatewayBug => Some(Expectation {
            root: ("gateway", "executable_changed"),
            steps: &[("gateway", "http_5xx")],
            affected: &["gateway"],
            innocent: &["cache"],
            forbidden: &["memory_growth", "oom_kill", "connect_refused"],
            root_text: vec!["v2".into()],
        }),
        Scenario::Killed => Some(Expectation {
            root: ("cache", "signal_sent"),
            steps: &[("gateway", "connect_refused"), ("gateway", "http_5xx")],
            affected: &["gateway"],
            innocent: &[],
            forbidden: &["memory_growth", "oom_kill"],
            root_text: vec![format!("sh (pid {})", killer.unwrap_or(0))],
        }),
    }
}

/// Every difference as a line; none when it is right.
pub(super) fn differences(expected: &Expectation, got: &Incident) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, text: String| wrong.extend((!holds).then_some(text));
    let root = got.root_cause();
    let found = root.map(|root| (root.label.as_str(), root.condition.as_str()));
    check(
        found == Some(expected.root),
        format!("root cause: expected {:?}, got {found:?}", expected.root),
    );
    let text = root.map_or("", |root| root.text.as_str());
    for part in &expected.root_text {
        check(
            text.contains(part),
            format!("root cause: expected {part:?} in {text:?}"),
        );
    }
    let at = |step: &(&str, &str)| {
        let same =
            |other: &&bus_schema::incident::Step| (other.label.as_str(), other.condition.as_str()) == *step;
        got.steps.iter().find(same).map(|step| step.start)
    };
    for step in expected.steps {
        check(
            at(step).is_some(),
            format!("steps: expected {} on {}, not there", step.1, step.0),
        );
    }
    let starts: Vec<_> = expected.steps.iter().filter_map(at).collect();
    check(
        starts.is_sorted(),
        format!("steps: expected the order {:?}", expected.steps),
    );
    for label in expected.affected {
        check(
            got.impact.workloads.iter().any(|hurt| hurt == label),
            format!("impact: expected {label}, got {:?}", got.impact.workloads),
        );
    }
    for label in expected.innocent {
        let named = got.impact.workloads.iter().any(|hurt| hurt == label)
            || got.steps.iter().any(|step| step.label == *label);
        check(!named, format!("innocent {label} is named"));
    }
    for step in &got.steps {
        check(
            !expected.forbidden.contains(&step.condition.as_str()),
            format!("steps: {} on {} did not happen", step.condition, step.label),
        );
    }
    wrong
}
