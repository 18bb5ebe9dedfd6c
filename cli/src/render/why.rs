//! Why an incident is told to have begun where it did, and why not elsewhere.

use std::fmt::Write;

use bus_schema::incident::{Candidate, Incident, Rejected, Step};

use crate::output::{STRONG, styled};

/// A cause of which this much is certain makes its effect so much likelier that a figure would say no more.
const CERTAIN: f64 = 0.999;

/// Everything that may have started it, likeliest first: what each explains, and what speaks against it.
pub fn why(incident: &Incident) -> String {
    let mut text = format!("{}\n", incident.narrative);
    for (place, candidate) in incident.candidates.iter().enumerate() {
        let _ = write!(text, "\n{}. {}", place + 1, about(incident, candidate));
    }
    if incident.candidates.is_empty() {
        text.push_str("\nNothing else was considered.\n");
    }
    for blind in &incident.completeness.blind {
        let _ = writeln!(text, "\nblind: {blind}");
    }
    text
}

/// What is known of an entity, by its key or a part of its name, and why it is not the root.
pub fn why_not(incident: &Incident, entity: &str) -> String {
    let asked = entity.to_lowercase();
    let names = |text: &str| text.to_lowercase().contains(&asked);
    let mut text = String::new();
    let root = incident.root_cause();
    if let Some(root) = root.filter(|root| is_at(root, names)) {
        let _ = writeln!(text, "{} is the root: {}", root.label, root.text);
    }
    let candidates = incident.candidates.iter();
    for candidate in candidates.filter(|candidate| names(&candidate.entity) || names(&candidate.hypothesis)) {
        text.push_str(&about(incident, candidate));
    }
    let is_root = |step: &Step| root.is_some_and(|root| root.id == step.id);
    let steps = incident
        .steps
        .iter()
        .filter(|step| !is_root(step) && is_at(step, names));
    for step in steps {
        let _ = writeln!(
            text,
            "{}: {}, {}",
            step.label,
            step.text,
            because_of(incident, step)
        );
    }
    for rejected in incident
        .rejected
        .iter()
        .filter(|rejected| names(&rejected.hypothesis))
    {
        text.push_str(&against(rejected));
    }
    if text.is_empty() {
        let _ = writeln!(
            text,
            "Nothing was seen of {entity} that any mechanism links with this incident."
        );
        for blind in &incident.completeness.blind {
            let _ = writeln!(text, "blind: {blind}");
        }
    }
    text
}

fn about(incident: &Incident, candidate: &Candidate) -> String {
    let mut text = format!(
        "{} ({}): {:.1} %",
        styled(STRONG, &candidate.hypothesis),
        candidate.entity,
        candidate.probability * 100.0
    );
    if let Some(prior) = candidate.prior {
        let _ = write!(text, ", before its effects were known {:.1} %", prior * 100.0);
    }
    text.push('\n');
    for explained in &candidate.explains {
        let step = incident.steps.iter().position(|step| step.id == explained.step);
        let Some((place, step)) = step.and_then(|place| Some((place, incident.steps.get(place)?))) else {
            continue;
        };
        let _ = writeln!(
            text,
            "   step {} ({}: {}) by it with {:.1} %{}",
            place + 1,
            step.label,
            step.text,
            explained.probability * 100.0,
            likelier(explained.probability)
        );
    }
    for missing in &candidate.missing {
        let _ = writeln!(text, "   expected and not seen: {missing}");
    }
    text
}

/// How much likelier the effect is with the cause than without: 1 / (1 − share).
fn likelier(share: f64) -> String {
    if share >= CERTAIN {
        ", which nothing else explains".to_owned()
    } else {
        format!(", {:.1} times likelier with it", 1.0 / (1.0 - share))
    }
}

fn is_at(step: &Step, names: impl Fn(&str) -> bool) -> bool {
    names(&step.label) || names(&step.entity.key())
}

fn because_of(incident: &Incident, step: &Step) -> String {
    let cause = step.caused_by.first();
    let told =
        cause.and_then(|cause| Some((cause, incident.steps.iter().find(|step| step.id == cause.step)?)));
    match told {
        Some((cause, by)) => format!(
            "caused by {} ({}): {}, {:.0} %",
            by.label,
            by.text,
            cause.mechanism,
            cause.strength * 100.0
        ),
        None => "beside the root".to_owned(),
    }
}

fn against(rejected: &Rejected) -> String {
    let verdict = if rejected.excluded {
        "excluded"
    } else {
        "less likely"
    };
    format!(
        "{}: {verdict} ({}), {:.1} % left\n",
        rejected.hypothesis,
        rejected.because,
        rejected.probability * 100.0
    )
}
