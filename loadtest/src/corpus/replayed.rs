//! What the correlator of this version says of a recording.

use std::sync::Arc;

use anyhow::Result;
use bus_client::bundle::{Head, Recorded};
use correlator::rules::RuleBook;
use correlator::run::replay::{self, Replay};

use super::worse::Worse;
use super::{Case, Recording};
use crate::campaign::scenario::Scenario;
use crate::campaign::score::{self, Order, Revision, Row};

/// Every revision of every incident. It arrives when the message was stored that it follows from.
///
/// # Errors
/// When the recording cannot be read or replayed.
pub fn revisions(recording: &Recording, book: &Arc<RuleBook>, worse: &Worse) -> Result<Vec<Revision>> {
    let (head, messages) = recording.messages()?;
    let messages = worse.of(messages, &recording.cases)?;
    let mut replayed = Replayed::new(&head, book)?;
    messages
        .into_iter()
        .try_for_each(|message| replayed.take(message))?;
    Ok(replayed.revisions)
}

/// A replay under way, for messages that are handed over one by one.
#[derive(Debug)]
pub struct Replayed {
    replay: Replay,
    /// Every revision so far.
    pub revisions: Vec<Revision>,
}

impl Replayed {
    /// Nothing has been replayed yet.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(head: &Head, book: &Arc<RuleBook>) -> Result<Self> {
        Ok(Self {
            replay: Replay::new(book, head)?,
            revisions: Vec::new(),
        })
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// When it cannot be replayed.
    pub fn take(&mut self, message: Recorded) -> Result<()> {
        let arrived_ns = message.stored_ns;
        for published in self.replay.apply(message)? {
            let incident = replay::incident(&published)?;
            self.revisions.push(Revision { arrived_ns, incident });
        }
        Ok(())
    }
}

/// Rows of a case, as a campaign would have given them.
pub fn of_case(case: &Case, revisions: &[Revision]) -> Vec<Row> {
    of_case_in(&Order::default(), case, revisions)
}

/// The same where more is known of the order in which the parts of its truth bring each other about.
pub fn of_case_in(order: &Order, case: &Case, revisions: &[Revision]) -> Vec<Row> {
    let scenario = Scenario::of_truth(&case.name, case.truth.clone());
    score::score_in(order, &scenario, case.kind, &case.played, revisions)
}
