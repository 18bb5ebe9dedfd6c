//! Whether what a replay comes to hangs on how the reports of several partitions lay between each other on the bus. Processes
//! publish when they come to it, so every order that keeps each partition's own is one that a bus could have had.

use std::sync::Arc;
use std::time::Duration;

use bus_client::bundle::{Head, Recorded};
use bus_stage::partitioned::Output;

use super::explainer::Explainer;
use super::late::Late;
use super::outcome::Outcome;
use super::reporter::{self, Reporter, Reports};
use super::{Error, Place, incident};
use crate::rules::RuleBook;

pub use super::outcome::Summary;

/// So many of the longest delays, and as long as this, are between two moments at which all reports have arrived and the outcomes
/// are compared.
const DELAYS: u32 = 5;
const APART: Duration = Duration::from_secs(10);

/// Another order than the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Decides how late each report is.
    pub seed: u64,
    /// No report is later than that.
    pub longest: Duration,
}

/// How two orders come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcomes {
    /// The same incidents, and how many.
    Same(usize),
    /// Not the same.
    Different(Box<Divergence>),
}

/// Incidents that only one of two orders has in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The first message with which one of them became what it is in one order alone, of the time since which the orders have
    /// differed.
    pub after: Place,
    /// Those of the recorded order.
    pub recorded: Vec<Summary>,
    /// Those of the other.
    pub other: Vec<Summary>,
}

/// Replays messages that are in order twice at once, as recorded and in another order. Holds the reports that are late, and an
/// outcome of each.
///
/// # Errors
/// As a replay.
pub fn compare(
    book: &Arc<RuleBook>,
    head: &Head,
    order: Order,
    messages: impl IntoIterator<Item = Recorded>,
) -> Result<Outcomes, Error> {
    let mut both = Both::new(book, order)?;
    let mut readers = Reporter::all(book, head)?;
    let apart_ns = nanoseconds(APART + order.longest.saturating_mul(DELAYS));
    let mut compared_ns = 0;
    for message in messages {
        let now_ns = message.stored_ns;
        if now_ns >= compared_ns + apart_ns {
            compared_ns = now_ns;
            both.compare()?;
        }
        let reports = reporter::apply(&mut readers, message)?;
        both.record(&reports)?;
        both.late.send(reports);
        both.arrive(now_ns)?;
    }
    both.compare()?;
    Ok(both.outcomes())
}

/// One replay, and what it comes to.
#[derive(Debug)]
struct Told {
    explainer: Explainer,
    outcome: Outcome,
}

impl Told {
    fn new(book: &Arc<RuleBook>) -> Result<Self, Error> {
        Ok(Self {
            explainer: Explainer::new(book)?,
            outcome: Outcome::default(),
        })
    }

    fn take(&mut self, report: Output, stored_ns: u64, from: &Place) -> Result<(), Error> {
        for revision in self.explainer.take(report, stored_ns)? {
            // No stage publishes what cannot be read.
            if let Ok(incident) = incident(&revision) {
                self.outcome.take(&incident, from);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Both {
    recorded: Told,
    other: Told,
    late: Late,
    /// The first message of the differences that have held since.
    differs_since: Option<Place>,
}

impl Both {
    fn new(book: &Arc<RuleBook>, order: Order) -> Result<Self, Error> {
        Ok(Self {
            recorded: Told::new(book)?,
            other: Told::new(book)?,
            late: Late::new(order.seed, nanoseconds(order.longest)),
            differs_since: None,
        })
    }

    /// Takes reports as they were recorded.
    fn record(&mut self, reports: &Reports) -> Result<(), Error> {
        for report in &reports.outputs {
            let from = &reports.from;
            self.recorded.take(report.clone(), from.stored_ns, from)?;
        }
        Ok(())
    }

    /// Lets those of the other order arrive that do so by then (UNIX ns).
    fn arrive(&mut self, now_ns: u64) -> Result<(), Error> {
        while let Some(report) = self.late.arrived(now_ns) {
            self.other.take(report.output, report.stored_ns, &report.from)?;
        }
        Ok(())
    }

    /// Lets all reports arrive, and notes since when the outcomes differ.
    fn compare(&mut self) -> Result<(), Error> {
        self.arrive(u64::MAX)?;
        let (recorded, other) = (&self.recorded.outcome, &self.other.outcome);
        let all = recorded.without(other).into_iter().chain(other.without(recorded));
        let first = all.map(|(_, since)| since).min_by_key(|since| since.stored_ns);
        match (first, &self.differs_since) {
            (None, _) => self.differs_since = None,
            (Some(first), None) => self.differs_since = Some(first.clone()),
            (Some(_), Some(_)) => {}
        }
        Ok(())
    }

    fn outcomes(self) -> Outcomes {
        let (recorded, other) = (&self.recorded.outcome, &self.other.outcome);
        let summaries = |own: &Outcome, theirs: &Outcome| {
            let only = own.without(theirs);
            only.into_iter().map(|(summary, _)| summary.clone()).collect()
        };
        match self.differs_since {
            None => Outcomes::Same(recorded.len()),
            Some(after) => Outcomes::Different(Box::new(Divergence {
                after,
                recorded: summaries(recorded, other),
                other: summaries(other, recorded),
            })),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
