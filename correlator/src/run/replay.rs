//! What was recorded of a bus, through the three stages as they run on one: the same messages give the same incidents, byte for
//! byte.
//!
//! What one stage says to the next is passed on at once, in the order in which the recorded messages were stored. How those of
//! several partitions lay between each other on the bus is the one thing that this does not repeat.

pub mod without;

use std::sync::Arc;

use bus_client::bundle::{Head, Recorded};
use bus_client::reader::Incoming;
use bus_schema::Incident;
use bus_schema::names::{ENRICHED_STREAM, EPISODES_STREAM, TOPOLOGY_STREAM};
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{Applied, Output, Reject, Stage, Work};

use super::causes::{self, Causes};
use super::episodes::{self, Episodes};
use super::metrics::Own;
use super::topology::{self, Topology};
use crate::rules::RuleBook;

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
}

/// The three stages.
#[derive(Debug)]
pub struct Replay {
    enriched: Vec<episodes::Partition>,
    topology: topology::Partition,
    causes: causes::Cell,
    /// Number of the last report.
    reported: u64,
}

impl Replay {
    /// Nothing has been replayed yet.
    ///
    /// # Errors
    /// [`Error::Begin`] when memory is short.
    pub fn new(book: &Arc<RuleBook>, head: &Head) -> Result<Self, Error> {
        let metrics = Own::register(&Metrics::new("replay"));
        let folding = Episodes {
            partitions: head.partitions,
            catalogue: Arc::clone(&book.catalogue),
            metrics: metrics.clone(),
        };
        let relating = Topology {
            metrics: metrics.clone(),
        };
        let explaining = Causes {
            book: Arc::clone(book),
            metrics,
        };
        let enriched = (0..head.partitions).map(|partition| begin(&folding, partition));
        Ok(Self {
            enriched: enriched.collect::<Result<_, _>>()?,
            topology: begin(&relating, 0)?,
            causes: begin(&explaining, 0)?,
            reported: 0,
        })
    }

    /// Takes the next message; gives the incidents that follow from it, as they are published.
    ///
    /// # Errors
    /// [`Error::Message`] or [`Error::Stream`] for a message that the product would have skipped.
    pub fn apply(&mut self, message: Recorded) -> Result<Vec<Output>, Error> {
        let stream = message.stream.clone();
        let message = message.into_incoming();
        let reports = match self.reader(&stream)? {
            Reader::Enriched(partition) => partition.apply(&message),
            Reader::Topology(partition) => partition.apply(&message),
        };
        let reports = reports.map_err(|source| refused(&stream, &message, source))?;
        let mut incidents = Vec::new();
        for report in reports.outputs {
            self.reported += 1;
            let report = Incoming {
                sequence: self.reported,
                stored_ns: message.stored_ns,
                pending: 0,
                subject: report.message.subject,
                payload: report.message.payload,
            };
            let explained = self.explain(&report);
            incidents.extend(explained.map_err(|source| refused(EPISODES_STREAM, &report, source))?);
        }
        Ok(incidents)
    }

    fn reader(&mut self, stream: &str) -> Result<Reader<'_>, Error> {
        if stream == TOPOLOGY_STREAM {
            return Ok(Reader::Topology(&mut self.topology));
        }
        let partition = stream
            .strip_prefix(ENRICHED_STREAM)
            .and_then(|rest| rest.strip_prefix('_')?.parse::<usize>().ok())
            .and_then(|partition| self.enriched.get_mut(partition));
        partition
            .map(Reader::Enriched)
            .ok_or_else(|| Error::Stream(stream.to_owned()))
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

enum Reader<'a> {
    Enriched(&'a mut episodes::Partition),
    Topology(&'a mut topology::Partition),
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

fn begin<S: Stage>(stage: &S, partition: u16) -> Result<S::Work, Error> {
    stage
        .restore(partition, None)
        .map_err(|why| Error::Begin { stage: S::NAME, why })
}

fn refused(stream: &str, message: &Incoming, source: Reject) -> Error {
    Error::Message {
        stream: stream.to_owned(),
        sequence: message.sequence,
        source,
    }
}
