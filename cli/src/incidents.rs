//! `tapio incidents`: the newest revision of each, and what comes after.

use std::process::ExitCode;

use bus_schema::Incident;
use futures_util::StreamExt;

use crate::args::{IncidentsArgs, NatsArgs};
use crate::nats::{Bus, Error as NatsError, incidents_subject, url};
use crate::{Error, output, render, wait};

/// Lists, then follows if asked to.
pub(crate) async fn run(args: IncidentsArgs, nats: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let bus = Bus::connect(url(nats)).await?;
    // Subscribed before the list is read: a revision between the two is shown twice rather than never.
    let news = if args.follow {
        Some(bus.subscribe(&incidents_subject()).await?)
    } else {
        None
    };
    let known = match bus.incidents().await {
        Err(NatsError::NoJetStream { .. }) if args.follow => Vec::new(),
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
        while let Some(Some(message)) = stop.run_until_cancelled(news.next()).await {
            match serde_json::from_slice(&message.payload) {
                Ok(incident) => show(&incident, json),
                Err(error) => output::note(format_args!(
                    "unreadable incident on {}: {error}",
                    message.subject
                )),
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
