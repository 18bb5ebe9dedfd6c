//! `tapio replay --check`: whether several workers, or another order of their reports, give anything else.

use std::process::ExitCode;
use std::sync::Arc;

use bus_client::bundle::Recorded;
use bus_stage::partitioned::Output;
use correlator::run::replay::compare::{Comparison, Difference, compare};
use correlator::run::replay::order::{self, Divergence, Order, Outcomes, Summary};
use correlator::run::replay::several::Several;
use correlator::run::replay::{self, Place, Replay};
use serde::Serialize;

use super::{Recording, ReplayError};
use crate::args::ReplayArgs;
use crate::{output, render};

/// Bytes that are shown on each side of the first that differs.
const AROUND: usize = 60;

/// A finding as it is printed: with the first difference, where there is one.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was tried.
    tried: String,
    /// Whether it gave the same.
    is_same: bool,
    /// What was the same, or what was not.
    #[serde(rename = "found")]
    text: String,
}

/// Tries both, and prints what came of it. The exit code is 1 when anything is not the same.
pub(super) fn run(args: &ReplayArgs, recording: Recording, json: bool) -> Result<ExitCode, ReplayError> {
    let Recording { book, head, messages } = recording;
    let messages: Arc<[Recorded]> = messages.into();
    let mut one = Replay::new(&book, &head)?;
    let steps = all(&messages).map(move |message| one.step(message));
    let several = Several::begin(&book, &head, args.workers, all(&messages))?;
    let workers = of_workers(args, compare(steps, several)?)?;
    say(&workers, json)?;
    let order = Order {
        seed: args.seed,
        longest: args.late,
    };
    let order = of_order(args, order::compare(&book, &head, order, all(&messages))?);
    say(&order, json)?;
    Ok(if workers.is_same && order.is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The messages once more: their bodies are not copied.
fn all(messages: &Arc<[Recorded]>) -> impl Iterator<Item = Recorded> + Send + 'static {
    let messages = Arc::clone(messages);
    (0..messages.len()).filter_map(move |number| messages.get(number).cloned())
}

fn say(finding: &Finding, json: bool) -> Result<(), ReplayError> {
    if json {
        output::say(serde_json::to_string(finding)?);
        return Ok(());
    }
    let style = if finding.is_same {
        output::GOOD
    } else {
        output::BAD
    };
    output::say(format_args!(
        "{}: {}",
        output::styled(style, &finding.tried),
        finding.text
    ));
    Ok(())
}

fn of_workers(args: &ReplayArgs, found: Comparison) -> Result<Finding, ReplayError> {
    let (is_same, text) = match found {
        Comparison::Same(agreement) => {
            let (revisions, messages) = (agreement.revisions, agreement.messages);
            let text =
                format!("the same {revisions} revisions to the byte as with one, after {messages} messages");
            (true, text)
        }
        Comparison::Different(difference) => (false, differing(&difference)?),
    };
    Ok(Finding {
        tried: format!("{} workers", args.workers),
        is_same,
        text,
    })
}

fn of_order(args: &ReplayArgs, found: Outcomes) -> Finding {
    let (is_same, text) = match found {
        Outcomes::Same(incidents) => (true, format!("the same {incidents} incidents in the end")),
        Outcomes::Different(divergence) => (false, diverging(&divergence)),
    };
    let (seed, late) = (args.seed, humantime::format_duration(args.late));
    Finding {
        tried: format!("reports up to {late} late, seed {seed}"),
        is_same,
        text,
    }
}

fn differing(difference: &Difference) -> Result<String, ReplayError> {
    let (one, other) = (difference.one.as_ref(), difference.other.as_ref());
    let (one_text, other_text) = excerpts(body(one), body(other));
    Ok(format!(
        "{}\n  one      {}\n           {one_text}\n  several  {}\n           {other_text}",
        first(&difference.after),
        line(one)?,
        line(other)?,
    ))
}

fn diverging(divergence: &Divergence) -> String {
    let list = |name: &str, all: &[Summary]| {
        let lines = all.iter().map(|summary| format!("\n  {name}  {summary}"));
        lines.collect::<String>()
    };
    format!(
        "{}{}{}",
        first(&divergence.after),
        list("as recorded", &divergence.recorded),
        list("late       ", &divergence.other),
    )
}

fn first(after: &Place) -> String {
    format!("not the same from {after}, on")
}

fn body(revision: Option<&Output>) -> &[u8] {
    revision.map_or(&[], |revision| &revision.message.payload)
}

fn line(revision: Option<&Output>) -> Result<String, ReplayError> {
    let Some(revision) = revision else {
        return Ok("nothing more".to_owned());
    };
    Ok(render::line(&replay::incident(revision)?))
}

/// What stands around the first byte in which two texts differ.
fn excerpts(one: &[u8], other: &[u8]) -> (String, String) {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other);
    let from = same.count().saturating_sub(AROUND);
    let excerpt = |text: &[u8]| {
        let part: Vec<_> = text.iter().skip(from).take(2 * AROUND).copied().collect();
        String::from_utf8_lossy(&part).into_owned()
    };
    (excerpt(one), excerpt(other))
}

#[cfg(test)]
mod tests;
