//! What the correlator of this version says of a recording.

use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;
use correlator::run::replay::{self, Replay};

use super::worse::{Worse, Worsening};
use super::{Case, Recording};
use crate::campaign::scenario::Scenario;
use crate::campaign::score::{self, Revision, Row};

/// Every revision of every incident. It arrives when the message was stored that it follows from.
///
/// # Errors
/// When the recording cannot be read or replayed.
pub fn revisions(recording: &Recording, book: &Arc<RuleBook>, worse: &Worse) -> Result<Vec<Revision>> {
    let (head, messages) = recording.messages()?;
    let (mut replay, mut worsening) = (Replay::new(book, &head)?, Worsening::new(worse.clone())?);
    let mut revisions = Vec::new();
    for message in messages {
        let Some(message) = worsening.apply(message)? else {
            continue;
        };
        let arrived_ns = message.stored_ns;
        for published in replay.apply(message)? {
            let incident = replay::incident(&published)?;
            revisions.push(Revision { arrived_ns, incident });
        }
    }
    Ok(revisions)
}

/// Rows of a case, as a campaign would have given them.
pub fn of_case(case: &Case, revisions: &[Revision]) -> Vec<Row> {
    let scenario = Scenario::of_truth(&case.name, case.truth.clone());
    score::score(&scenario, case.kind, &case.played, revisions)
}
