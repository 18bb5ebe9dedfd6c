//! The last step of a replay: reports in the order in which they are handed over, incidents out.

use std::sync::Arc;

use bus_client::reader::Incoming;
use bus_schema::names::EPISODES_STREAM;
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{Applied, Output, Reject, Work};

use super::reporter::{Reports, begin};
use super::{Error, Step};
use crate::rules::RuleBook;
use crate::run::causes::{self, Causes};
use crate::run::metrics::Own;

/// The causal stage and the stream that it reads.
#[derive(Debug)]
pub(super) struct Explainer {
    causes: causes::Cell,
    /// Sequence of the last report.
    reported: u64,
}

impl Explainer {
    /// Nothing was reported yet.
    ///
    /// # Errors
    /// [`Error::Begin`] when memory is short.
    pub(super) fn new(book: &Arc<RuleBook>) -> Result<Self, Error> {
        let stage = Causes {
            book: Arc::clone(book),
            metrics: Own::register(&Metrics::new("replay")),
        };
        Ok(Self {
            causes: begin(&stage, 0)?,
            reported: 0,
        })
    }

    /// Takes all that followed from one message, at the time at which that was stored.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn step(&mut self, reports: Reports) -> Result<Step, Error> {
        let mut incidents = Vec::new();
        for report in reports.outputs {
            incidents.extend(self.take(report, reports.from.stored_ns)?);
        }
        Ok(Step {
            after: reports.from,
            incidents,
        })
    }

    /// Takes the next report, stored at `stored_ns` (UNIX); gives the revisions of incidents that follow from it.
    ///
    /// # Errors
    /// [`Error::Message`] for a report that cannot be used.
    pub(super) fn take(&mut self, report: Output, stored_ns: u64) -> Result<Vec<Output>, Error> {
        self.reported += 1;
        let report = Incoming {
            sequence: self.reported,
            stored_ns,
            pending: 0,
            subject: report.message.subject,
            payload: report.message.payload,
        };
        self.explain(&report).map_err(|source| Error::Message {
            stream: EPISODES_STREAM.to_owned(),
            sequence: report.sequence,
            source,
        })
    }

    fn explain(&mut self, report: &Incoming) -> Result<Vec<Output>, Reject> {
        let Applied {
            mut outputs,
            mut more,
            ..
        } = self.causes.apply(report)?;
        while more {
            let next = self.causes.resume()?;
            outputs.extend(next.outputs);
            more = next.more;
        }
        Ok(outputs)
    }
}
