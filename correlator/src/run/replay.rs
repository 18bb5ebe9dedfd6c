//! What was recorded of a bus, through the three stages as they run on one: the same messages give the same incidents, byte for
//! byte, whether one thread folds the partitions or several ([`several`]).
//!
//! What one stage says to the next is passed on at once, in the order in which the recorded messages were stored. How those of
//! several partitions lay between each other on the bus is the one thing that this does not repeat; whether anything hangs on it,
//! [`order`] finds out.

pub mod compare;
mod explainer;
mod late;
pub mod order;
mod outcome;
mod reporter;
pub mod several;
pub mod without;

use std::fmt;
use std::sync::Arc;

use bus_client::bundle::{Head, Recorded};
use bus_schema::{Incident, Timestamp};
use bus_stage::partitioned::{Output, Reject};

use crate::rules::RuleBook;
use explainer::Explainer;
use reporter::Reporter;

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stage cannot begin.
    #[error("the stage {stage} cannot begin: {why}")]
    Begin {
        /// Which.
        stage: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A message is none of this version.
    #[error("message {sequence} of {stream} cannot be used")]
    Message {
        /// Its stream.
        stream: String,
        /// Its sequence.
        sequence: u64,
        /// What is wrong.
        #[source]
        source: Reject,
    },
    /// A message is of another stream than those that a recording has.
    #[error("nothing reads the stream {0}")]
    Stream(String),
    /// No thread for a worker.
    #[error("no thread to fold partitions")]
    Thread(#[source] std::io::Error),
    /// A worker ended before its work did.
    #[error("a thread that folds partitions ended early")]
    Worker,
}

/// Where a message stood on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its stream.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// When the server stored it, UNIX ns.
    pub stored_ns: u64,
}

impl Place {
    fn of(message: &Recorded) -> Self {
        Self {
            stream: message.stream.clone(),
            sequence: message.sequence,
            stored_ns: message.stored_ns,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp(self.stored_ns);
        write!(
            f,
            "message {} of {}, stored at {time}",
            self.sequence, self.stream
        )
    }
}

/// What followed from one message.
#[derive(Debug, Clone)]
pub struct Step {
    /// The message.
    pub after: Place,
    /// Revisions of incidents, as they are published.
    pub incidents: Vec<Output>,
}

/// The three stages, one after the other.
#[derive(Debug)]
pub struct Replay {
    reporters: Vec<Reporter>,
    explainer: Explainer,
}

impl Replay {
    /// Nothing has been replayed yet.
    ///
    /// # Errors
    /// [`Error::Begin`] when memory is short.
    pub fn new(book: &Arc<RuleBook>, head: &Head) -> Result<Self, Error> {
        Ok(Self {
            reporters: Reporter::all(book, head)?,
            explainer: Explainer::new(book)?,
        })
    }

    /// Takes the next message; gives the incidents that follow from it, as they are published.
    ///
    /// # Errors
    /// [`Error::Message`] or [`Error::Stream`] for a message that the product would have skipped.
    pub fn apply(&mut self, message: Recorded) -> Result<Vec<Output>, Error> {
        Ok(self.step(message)?.incidents)
    }

    /// Takes the next message; gives what follows from it, and says from which.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn step(&mut self, message: Recorded) -> Result<Step, Error> {
        let reports = reporter::apply(&mut self.reporters, message)?;
        self.explainer.step(reports)
    }
}

/// In the order in which a bus would have handed them out.
pub fn in_order(mut messages: Vec<Recorded>) -> Vec<Recorded> {
    messages.sort_by(|one, other| {
        let place = |message: &Recorded| (message.stored_ns, message.sequence);
        place(one)
            .cmp(&place(other))
            .then_with(|| one.stream.cmp(&other.stream))
    });
    messages
}

/// The incident that was published.
///
/// # Errors
/// When it is none, which no stage of this version publishes.
pub fn incident(output: &Output) -> serde_json::Result<Incident> {
    serde_json::from_slice(&output.message.payload)
}
