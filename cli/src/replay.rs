//! `tapio replay`: what was recorded, through the correlator of this version, or of other rules.

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;

use bus_client::bundle::{Bundle, Head, ReadError, Recorded};
use bus_client::codec::Codec;
use bus_schema::batch::EncodeError;
use correlator::rules::{self, RuleBook};
use correlator::run::replay::{self, Replay};

use crate::args::ReplayArgs;
use crate::{Error, output, render};

/// Why nothing is replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened.
    #[error("{path} cannot be opened")]
    Open {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no bundle, or not a whole one.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rules cannot be used.
    #[error("the rules cannot be used")]
    Rules(#[from] rules::Error),
    /// A message cannot be replayed.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// zstd has no memory.
    #[error("no memory to unpack")]
    Codec(#[source] std::io::Error),
    /// What is left of a message cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The correlator published something else than incidents.
    #[error("an incident is not readable")]
    Incident(#[from] serde_json::Error),
}

/// Prints every revision of every incident, as they would have been published.
pub(crate) fn run(args: &ReplayArgs, json: bool) -> Result<ExitCode, Error> {
    Ok(print(args, json)?)
}

fn print(args: &ReplayArgs, json: bool) -> Result<ExitCode, ReplayError> {
    let book = Arc::new(RuleBook::load(args.rules.as_deref())?);
    let (head, messages) = read(args)?;
    let mut replay = Replay::new(&book, &head)?;
    let mut codec = Codec::new().map_err(ReplayError::Codec)?;
    for message in messages {
        let Some(message) = left(args, &mut codec, message)? else {
            continue;
        };
        for published in replay.apply(message)? {
            let shown = if json {
                output::try_say(String::from_utf8_lossy(&published.message.payload))
            } else {
                output::try_say(render::line(&replay::incident(&published)?))
            };
            if shown.is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the questions that were asked leave of a message.
fn left(args: &ReplayArgs, codec: &mut Codec, message: Recorded) -> Result<Option<Recorded>, EncodeError> {
    let mut left = Some(message);
    for without in &args.without {
        let Some(message) = left else { break };
        left = without.take_out(codec, message)?;
    }
    Ok(left)
}

fn read(args: &ReplayArgs) -> Result<(Head, Vec<Recorded>), ReplayError> {
    let file = File::open(&args.file).map_err(|source| ReplayError::Open {
        path: args.file.display().to_string(),
        source,
    })?;
    let bundle = Bundle::open(file)?;
    let head = bundle.head.clone();
    let mut messages = Vec::new();
    for message in bundle {
        match message {
            Ok(message) => messages.push(message),
            // Whoever recorded was killed: what there is of it is as true as the whole.
            Err(error @ ReadError::Damaged { .. }) => output::note(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((head, replay::in_order(messages)))
}
