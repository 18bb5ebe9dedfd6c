//! `tapio tail`: what goes over a subject, as JSON lines.

use std::process::ExitCode;

use futures_util::StreamExt;

use crate::args::{NatsArgs, TailArgs};
use crate::{Error, decode, nats, output};

/// Shows messages until somebody stops it or stops reading.
pub(crate) async fn run(args: &TailArgs, told: &NatsArgs) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::config(told)).await?;
    let mut messages = nats::subscribe(&bus, &args.subject).await?;
    let stop = bus_stage::signals::stop().map_err(Error::Runtime)?;
    while let Some(Some(message)) = stop.run_until_cancelled(messages.next()).await {
        match decode::lines(&message.payload) {
            Ok(lines) if lines.iter().try_for_each(output::try_say).is_err() => break,
            Ok(_) => {}
            Err(error) => output::note(format_args!("{}: {error}", message.subject)),
        }
    }
    Ok(ExitCode::SUCCESS)
}
