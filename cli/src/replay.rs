//! `tapio replay`: what was recorded, through the correlator of this version, or of other rules.

mod check;

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;

use bus_client::bundle::{Bundle, Head, ReadError, Recorded};
use bus_client::codec::Codec;
use bus_schema::batch::EncodeError;
use correlator::rules::{self, RuleBook};
use correlator::run::replay::several::Several;
use correlator::run::replay::{self, Replay, Step};

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

/// Steps of a replay, one for each message.
type Steps = Box<dyn Iterator<Item = Result<Step, replay::Error>>>;

/// What is replayed, and by which rules.
struct Recording {
    book: Arc<RuleBook>,
    head: Head,
    messages: Vec<Recorded>,
}

/// Prints every revision of every incident, as they would have been published; or with `--check`, whether they are always the same.
pub(crate) fn run(args: &ReplayArgs, json: bool) -> Result<ExitCode, Error> {
    let recording = recording(args)?;
    if args.check {
        return Ok(check::run(args, recording, json)?);
    }
    Ok(print(args, recording, json)?)
}

fn print(args: &ReplayArgs, recording: Recording, json: bool) -> Result<ExitCode, ReplayError> {
    for step in steps(args, recording)? {
        for published in step?.incidents {
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

/// By this thread, where one worker is enough.
fn steps(args: &ReplayArgs, recording: Recording) -> Result<Steps, replay::Error> {
    let Recording { book, head, messages } = recording;
    if args.workers.get() > 1 {
        return Ok(Box::new(Several::begin(&book, &head, args.workers, messages)?));
    }
    let mut replay = Replay::new(&book, &head)?;
    Ok(Box::new(
        messages.into_iter().map(move |message| replay.step(message)),
    ))
}

/// The file without what is asked to be left out.
fn recording(args: &ReplayArgs) -> Result<Recording, ReplayError> {
    let book = Arc::new(RuleBook::load(args.rules.as_deref())?);
    let (head, messages) = read(args)?;
    let mut codec = Codec::new().map_err(ReplayError::Codec)?;
    let left = messages
        .into_iter()
        .filter_map(|message| left(args, &mut codec, message).transpose());
    let messages = left.collect::<Result<_, _>>()?;
    Ok(Recording { book, head, messages })
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
