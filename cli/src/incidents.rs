//! `tapio incidents`: the newest revision of each, and what comes after.

use std::process::ExitCode;

use crate::args::{IncidentsArgs, NatsArgs};
use crate::nats::{self, Revisions};
use crate::{Error, output, render, wait};
use bus_schema::Incident;

/// Lists, then follows if asked to.
pub(crate) async fn run(args: IncidentsArgs, told: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::url(told)).await?;
    // Placed before the list is read: a revision between the two is shown twice rather than never.
    let news = if args.follow {
        Some(Revisions::from_now(&bus).await)
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
    for incident in &known {
        show(incident, json);
    }
    if let Some(mut news) = news {
        let stop = wait::stop_on_signals().map_err(Error::Runtime)?;
        while let Some(news) = stop.run_until_cancelled(news.next()).await {
            match news {
                Ok(incident) => show(&incident, json),
                Err(error) => output::note(error),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(incident: &Incident, json: bool) {
    match serde_json::to_string(incident) {
        Ok(text) if json => output::say(text),
        Ok(_) | Err(_) => output::say(render::line(incident)),
    }
}
