//! `tapio explain`: everything about one incident.

use std::process::ExitCode;

use bus_schema::Incident;

use crate::args::{ExplainArgs, NatsArgs};
use crate::{Error, nats, output, render};

/// Finds it by the beginning of its id and prints it.
pub(crate) async fn run(args: &ExplainArgs, told: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::config(told)).await?;
    let incidents = nats::incidents(&bus).await?;
    let incident = select(&incidents, &args.id)?;
    let text = match (&args.why_not, args.why) {
        (Some(entity), _) => render::why_not(incident, entity),
        (None, true) => render::why(incident),
        (None, false) => render::full(incident),
    };
    match serde_json::to_string_pretty(incident) {
        Ok(text) if json => output::say(text),
        Ok(_) | Err(_) => output::say(text),
    }
    Ok(ExitCode::SUCCESS)
}

/// The only incident whose id begins like that.
fn select<'a>(incidents: &'a [Incident], asked: &str) -> Result<&'a Incident, Error> {
    let asked = asked.trim().to_ascii_uppercase();
    let prefix = asked.strip_prefix("INC-").unwrap_or(&asked).trim_end_matches('…');
    let mut fitting = incidents
        .iter()
        .filter(|incident| incident.id.to_string().starts_with(prefix));
    match (fitting.next(), fitting.count()) {
        (Some(incident), 0) => Ok(incident),
        (Some(_), others) => Err(Error::Ambiguous {
            prefix: asked.clone(),
            count: others + 1,
        }),
        (None, _) => Err(Error::NoSuchIncident(asked.clone())),
    }
}
