//! What the correlator of this version says of a recording.

use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;
use correlator::run::replay::{self, Replay};

use super::{Case, Recording};
use crate::campaign::scenario::Scenario;
use crate::campaign::score::{self, Revision, Row};

/// Rows of every case, as a campaign would have given them. A revision arrives when the message was stored that it follows from.
///
/// # Errors
/// When the recording cannot be read or replayed.
pub fn rows(recording: &Recording, book: &Arc<RuleBook>) -> Result<Vec<Row>> {
    let revisions = revisions(recording, book)?;
    let rows = recording.cases.iter().flat_map(|case| of_case(case, &revisions));
    Ok(rows.collect())
}

/// Every revision of every incident.
///
/// # Errors
/// When the recording cannot be read or replayed.
pub fn revisions(recording: &Recording, book: &Arc<RuleBook>) -> Result<Vec<Revision>> {
    let (head, messages) = recording.messages()?;
    let mut replay = Replay::new(book, &head)?;
    let mut revisions = Vec::new();
    for message in messages {
        let arrived_ns = message.stored_ns;
        for published in replay.apply(message)? {
            let incident = replay::incident(&published)?;
            revisions.push(Revision { arrived_ns, incident });
        }
    }
    Ok(revisions)
}

fn of_case(case: &Case, revisions: &[Revision]) -> Vec<Row> {
    let scenario = Scenario::of_truth(&case.name, case.truth.clone());
    score::score(&scenario, case.kind, &case.played, revisions)
}
