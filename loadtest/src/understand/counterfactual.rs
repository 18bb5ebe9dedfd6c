//! What would be told if the event of the root had not been heard: with it gone, nobody may be as sure of the same.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::EventId;
use bus_schema::incident::NOT_OBSERVED;
use correlator::rules::RuleBook;
use correlator::run::replay::without::Without;

use crate::campaign::score::{Row, Verdict};
use crate::corpus::replayed::{self, Replayed};
use crate::corpus::{Case, Recording};

/// Counts of cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counterfactuals {
    /// Whose root was told rightly.
    pub cases: usize,
    /// Of which it is told without its events that nobody saw the root.
    pub unobserved: usize,
    /// … or another root.
    pub others: usize,
    /// … or nothing.
    pub untold: usize,
    /// … or the same still, by other events.
    pub same: usize,
    /// Of which less is claimed than before.
    pub less_sure: usize,
    /// Of which as much is claimed or more, by name.
    pub as_sure: Vec<String>,
}

impl Counterfactuals {
    /// Asks of every case of a recording whose root is told rightly; `rows` are those of its cases.
    ///
    /// # Errors
    /// When it cannot be read or replayed.
    pub fn ask(&mut self, recording: &Recording, book: &Arc<RuleBook>, rows: &[(Case, Row)]) -> Result<()> {
        let asked = rows
            .iter()
            .filter(|(_, row)| row.root == Verdict::Right && !row.evidence.is_empty());
        for (case, row) in asked {
            let without = told_without(recording, book, case, &row.evidence)?;
            self.count(row, without.iter().find(|other| other.name == row.name));
        }
        Ok(())
    }

    fn count(&mut self, with: &Row, without: Option<&Row>) {
        self.cases += 1;
        let told = without.and_then(|row| row.told.as_deref());
        match told {
            None => self.untold += 1,
            Some(told) if told.ends_with(NOT_OBSERVED) => self.unobserved += 1,
            Some(told) if with.told.as_deref() == Some(told) => self.same += 1,
            Some(_) => self.others += 1,
        }
        let claimed = |row: &Row| row.confidence.unwrap_or(0.0);
        if without.map_or(0.0, claimed) < claimed(with) {
            self.less_sure += 1;
        } else {
            self.as_sure.push(with.name.clone());
        }
    }
}

/// The rows of a case when these events had not been heard.
fn told_without(
    recording: &Recording,
    book: &Arc<RuleBook>,
    case: &Case,
    events: &[EventId],
) -> Result<Vec<Row>> {
    let (head, messages) = recording.messages()?;
    let (mut replayed, mut codec) = (Replayed::new(&head, book)?, Codec::new()?);
    let until_ns = case.played.until_ns;
    for message in messages
        .into_iter()
        .filter(|message| message.stored_ns < until_ns)
    {
        if let Some(message) = take_out(&mut codec, message, events)? {
            replayed.take(message)?;
        }
    }
    Ok(replayed::of_case(case, &replayed.revisions))
}

fn take_out(codec: &mut Codec, message: Recorded, events: &[EventId]) -> Result<Option<Recorded>> {
    let mut left = Some(message);
    for event in events {
        let Some(message) = left else { break };
        left = Without::Event(*event).take_out(codec, message)?;
    }
    Ok(left)
}

impl fmt::Display for Counterfactuals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cases,
            unobserved,
            others,
            untold,
            same,
            less_sure,
            as_sure,
        } = self;
        writeln!(
            f,
            "without the events of a right root ({cases} cases): not observed {unobserved}, another root {others}, nothing told \
             {untold}, the same by other events {same}; less sure in {less_sure} of {cases}"
        )?;
        if as_sure.is_empty() {
            return Ok(());
        }
        writeln!(f, "as sure without it: {}", as_sure.join(", "))
    }
}
