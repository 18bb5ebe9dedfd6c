//! `tapio tail`: what goes over a subject, as JSON lines.

use std::process::ExitCode;

use futures_util::StreamExt;

use crate::args::{NatsArgs, TailArgs};
use crate::{Error, decode, nats, output, wait};

/// Shows messages until somebody stops it.
pub(crate) async fn run(args: &TailArgs, told: &NatsArgs) -> Result<ExitCode, Error> {
    let bus = nats::connect(&nats::url(told)).await?;
    let mut messages = nats::subscribe(&bus, &args.subject).await?;
    let stop = wait::stop_on_signals().map_err(Error::Runtime)?;
    while let Some(Some(message)) = stop.run_until_cancelled(messages.next()).await {
        match decode::lines(&message.payload) {
            Ok(lines) => lines.iter().for_each(output::say),
            Err(error) => output::note(format_args!("{}: {error}", message.subject)),
        }
    }
    Ok(ExitCode::SUCCESS)
}
