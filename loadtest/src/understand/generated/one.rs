//! One generated case in full: what is true of it, and every step that was told, with what it was put down to.

// Writing to a String cannot fail: the results are dropped.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bus_client::bundle::Writer;
use bus_schema::incident::Step;
use bus_schema::{EventId, Incident, Timestamp};
use correlator::rules::RuleBook;

use super::{Options, replay, verdict_of};
use crate::corpus::{Case, replayed};
use crate::generator::{Generated, Plan, generate};

/// Tells all of it.
///
/// # Errors
/// When it cannot be made or replayed.
pub fn case(plan: &Plan, book: &Arc<RuleBook>, options: &Options) -> Result<String> {
    let generated = generate(plan, options.without.as_deref())?;
    let mut text = format!("{plan}: {} messages\n", generated.messages.len());
    if let Some(path) = &options.to {
        write(&generated, path)?;
    }
    let case = generated.case.clone();
    tell_truth(&mut text, &case);
    let revisions = replay(book, generated)?;
    for row in replayed::of_case(&case, &revisions) {
        let (told, confidence) = (
            row.told.as_deref().unwrap_or("nothing"),
            row.confidence.unwrap_or(0.0),
        );
        let _ = writeln!(
            text,
            "\n{}: told {told} at {confidence:.2}, {} incidents, {} of {} links",
            verdict_of(&row),
            row.incidents,
            row.chain.0,
            row.chain.1
        );
    }
    let last: BTreeMap<EventId, &Incident> = revisions
        .iter()
        .map(|revision| (revision.incident.id, &revision.incident))
        .collect();
    for incident in last.values() {
        tell(&mut text, incident, case.played.at_ns);
    }
    Ok(text)
}

/// As a recording, for `tapio replay`.
fn write(generated: &Generated, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = Writer::new(file, &generated.head)?;
    for message in &generated.messages {
        writer.write(message)?;
    }
    writer.finish()?;
    Ok(())
}

fn tell_truth(text: &mut String, case: &Case) {
    let effect = &case.played.effect;
    let _ = writeln!(
        text,
        "{} of {} requests of users fail",
        effect.failed, effect.requests
    );
    for truth in &case.truth {
        let root = &truth.root;
        let (kind, name, conditions) = (&root.kind, &root.name, root.conditions.join(" or "));
        let seen = if truth.observed { "" } else { ", which nobody sees" };
        let _ = writeln!(text, "true: {kind} {name}: {conditions}{seen}");
        for link in truth.chain.iter().skip(1) {
            let _ = writeln!(text, "  {}: {}", link.name, link.conditions.join(", "));
        }
    }
}

fn tell(text: &mut String, incident: &Incident, at_ns: u64) {
    let (state, narrative) = (incident.state.as_str(), &incident.narrative);
    let _ = writeln!(
        text,
        "\n{} {state} at {:.2}: {narrative}",
        incident.id, incident.confidence
    );
    for step in &incident.steps {
        let causes = step.caused_by.iter().map(|cause| {
            let of = incident.steps.iter().find(|step| step.id == cause.step);
            let of = of.map_or_else(String::new, |step| format!("{} {}", step.label, step.condition));
            format!("{of} ({})", cause.rule)
        });
        let causes: Vec<_> = causes.collect();
        let _ = writeln!(
            text,
            "  {:>7.2} to {:>7.2} s  {} ×{}  <- {}",
            since(at_ns, step.start),
            since(at_ns, step.last),
            who(step),
            step.count,
            causes.join(", ")
        );
    }
    for candidate in &incident.candidates {
        let (hypothesis, probability) = (&candidate.hypothesis, candidate.probability);
        let _ = writeln!(text, "  {probability:.2} {hypothesis}");
    }
}

fn who(step: &Step) -> String {
    let peer = step.peer.as_ref().map(|peer| format!(" to {}", peer.label()));
    format!("{} {}{}", step.label, step.condition, peer.unwrap_or_default())
}

/// Seconds from the fault.
#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of minutes, to the millisecond"
)]
fn since(at_ns: u64, time: Timestamp) -> f64 {
    (i128::from(time.as_ns()) - i128::from(at_ns)) as f64 / 1e9
}
