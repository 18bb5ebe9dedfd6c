//! The first step of a replay: each recorded message to the partition that reads its stream, or to the relations.

use std::sync::Arc;

use bus_client::bundle::{Head, Recorded};
use bus_schema::names::{ENRICHED_STREAM, TOPOLOGY_STREAM};
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{Output, Stage, Work};

use super::{Error, Place};
use crate::rules::RuleBook;
use crate::run::episodes::{self, Episodes};
use crate::run::metrics::Own;
use crate::run::topology::{self, Topology};

/// What reads one stream.
#[derive(Debug)]
pub(super) enum Reporter {
    /// A partition of the enriched side.
    Enriched(Box<episodes::Partition>),
    /// The relations.
    Topology(Box<topology::Partition>),
}

/// What one message made its reader report.
#[derive(Debug)]
pub(super) struct Reports {
    /// The message.
    pub(super) from: Place,
    /// Number of the reader among [`Reporter::all`].
    pub(super) reader: usize,
    /// The reports, in order.
    pub(super) outputs: Vec<Output>,
}

impl Reporter {
    /// The reader of each partition in their order, and behind them that of the relations.
    ///
    /// # Errors
    /// [`Error::Begin`] when memory is short.
    pub(super) fn all(book: &Arc<RuleBook>, head: &Head) -> Result<Vec<Self>, Error> {
        let metrics = Own::register(&Metrics::new("replay"));
        let folding = Episodes {
            partitions: head.partitions,
            catalogue: Arc::clone(&book.catalogue),
            metrics: metrics.clone(),
        };
        let enriched =
            (0..head.partitions).map(|partition| Ok(Self::Enriched(Box::new(begin(&folding, partition)?))));
        let mut all = enriched.collect::<Result<Vec<_>, _>>()?;
        all.push(Self::Topology(Box::new(begin(&Topology { metrics }, 0)?)));
        Ok(all)
    }

    /// Which of `count` readers reads a stream.
    ///
    /// # Errors
    /// [`Error::Stream`] when none does.
    pub(super) fn reading(stream: &str, count: usize) -> Result<usize, Error> {
        let last = count.saturating_sub(1);
        if stream == TOPOLOGY_STREAM {
            return Ok(last);
        }
        let partition = stream
            .strip_prefix(ENRICHED_STREAM)
            .and_then(|rest| rest.strip_prefix('_')?.parse().ok());
        partition
            .filter(|partition| *partition < last)
            .ok_or_else(|| Error::Stream(stream.to_owned()))
    }

    /// Takes the next message of its stream.
    ///
    /// # Errors
    /// [`Error::Message`] for one that the product would have skipped.
    pub(super) fn apply(&mut self, reader: usize, message: Recorded) -> Result<Reports, Error> {
        let from = Place::of(&message);
        let message = message.into_incoming();
        let applied = match self {
            Self::Enriched(partition) => partition.apply(&message),
            Self::Topology(partition) => partition.apply(&message),
        };
        match applied {
            Ok(applied) => Ok(Reports {
                from,
                reader,
                outputs: applied.outputs,
            }),
            Err(source) => Err(Error::Message {
                stream: from.stream,
                sequence: from.sequence,
                source,
            }),
        }
    }
}

/// Hands a message to the one of all readers that reads its stream.
///
/// # Errors
/// As [`Reporter::reading`] and [`Reporter::apply`].
pub(super) fn apply(readers: &mut [Reporter], message: Recorded) -> Result<Reports, Error> {
    let reader = Reporter::reading(&message.stream, readers.len())?;
    match readers.get_mut(reader) {
        Some(reporter) => reporter.apply(reader, message),
        None => Err(Error::Stream(message.stream)),
    }
}

/// Work of a stage from its beginning.
///
/// # Errors
/// [`Error::Begin`] when memory is short.
pub(super) fn begin<S: Stage>(stage: &S, partition: u16) -> Result<S::Work, Error> {
    stage
        .restore(partition, None)
        .map_err(|why| Error::Begin { stage: S::NAME, why })
}
