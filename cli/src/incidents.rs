//! `tapio incidents`: the newest revision of each, and what comes after.

use std::process::ExitCode;

use crate::args::{IncidentsArgs, NatsArgs};
use crate::nats::{self, Revisions};
use crate::{Error, output, render};
use bus_schema::Incident;

/// Lists, then follows if asked to.
pub(crate) async fn run(args: IncidentsArgs, told: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::config(told)).await?;
    // Placed before the list is read: a revision between the two is shown twice rather than never.
    let news = if args.follow {
        Some(Revisions::from_now(&bus).await?)
    } else {
        None
    };
    let known = match nats::incidents(&bus).await {
        Err(nats::Error::NoIncidents) if args.follow => Vec::new(),
        read => read?,
    };
    if known.is_empty() && !json {
        output::note("no incidents");
    }
    if known
        .iter()
        .try_for_each(|incident| show(incident, json))
        .is_err()
    {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(mut news) = news {
        let stop = bus_stage::signals::stop().map_err(Error::Runtime)?;
        while let Some(news) = stop.run_until_cancelled(news.next()).await {
            match news {
                Ok(incident) if show(&incident, json).is_err() => break,
                Ok(_) => {}
                Err(error) => output::note(error),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when nobody reads it any more.
fn show(incident: &Incident, json: bool) -> std::io::Result<()> {
    match serde_json::to_string(incident) {
        Ok(text) if json => output::try_say(text),
        Ok(_) | Err(_) => output::try_say(render::line(incident)),
    }
}
