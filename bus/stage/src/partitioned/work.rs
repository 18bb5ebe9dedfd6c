//! What a stage has to say for itself: where its partitions are, and what follows from a message.

use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bytes::Bytes;

use super::Tenure;

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Output {
    /// What; the same input gives the same message, id included.
    pub message: Outgoing,
    /// A bucket's entry that shall hold the newest of its kind.
    pub put: Option<Put>,
}

/// An entry of a bucket.
#[derive(Debug, Clone)]
pub struct Put {
    /// The bucket.
    pub bucket: &'static str,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
}

/// What follows from a message.
#[derive(Debug, Default)]
pub struct Applied {
    /// To be published, in this order.
    pub outputs: Vec<Output>,
    /// Events the message held.
    pub received: u64,
    /// Newest event time it told, UNIX ns; 0 for none.
    pub time_ns: u64,
    /// Events skipped, by reason; those that the work has to tell of, it has taken note of itself.
    pub skipped: Vec<(&'static str, u64)>,
    /// The work was cut short and has more to do: [`Work::resume`] is called before the next message.
    pub more: bool,
}

/// A message that cannot be worked on. It is counted, logged once per kind and minute, and skipped.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Reject {
    /// Token for metrics: `undecodable`, `newer_schema`.
    pub kind: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// The work on one partition. It runs on a thread of its own and may take its time.
pub trait Work: Send + 'static {
    /// Takes the next message.
    ///
    /// # Errors
    /// [`Reject`] for a message that cannot be worked on.
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject>;

    /// Goes on with what [`Applied::more`] left to do, a step at a time, until that is false; only then comes the next message or
    /// a snapshot. So what follows from a message hangs on the messages alone, however it was cut.
    ///
    /// # Errors
    /// [`Reject`] gives up what was left to do.
    fn resume(&mut self) -> Result<Applied, Reject> {
        Ok(Applied::default())
    }

    /// Takes note that `count` messages or events were lost for `reason`, to be told downstream with what follows.
    fn lost(&mut self, reason: &'static str, count: u64);

    /// The state was lost and is made again, from messages whose effects were published then: what follows is not published
    /// until [`Self::is_rebuilt`].
    fn rebuild(&mut self) {}

    /// Takes note of an entry of the bucket [`Stage::RECALLS`]: something that was told before the state was lost.
    fn recall(&mut self, _value: &[u8]) {}

    /// All messages of which the effects are published were applied again.
    fn is_rebuilt(&mut self) {}

    /// The state after the last message.
    ///
    /// # Errors
    /// A description of what could not be written down.
    fn snapshot(&self) -> Result<Vec<u8>, String>;
}

/// A stage: where its partitions are, and how work on one begins.
pub trait Stage: Send + Sync + 'static {
    /// The work on one partition.
    type Work: Work;

    /// Name in leases and checkpoints.
    const NAME: &'static str;

    /// Version of what [`Work::snapshot`] writes, raised when [`Self::restore`] would misread what was written before. States
    /// without a version have version 0.
    const VERSION: u32;

    /// The bucket of what was told, which work that has lost its state is reminded of.
    const RECALLS: Option<&'static str> = None;

    /// Whether the streams keep the newest message of each subject only: what is no longer there when it would be read was
    /// replaced, and is no loss.
    const IS_COMPACTED: bool = false;

    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// The stream of a partition.
    fn stream(&self, partition: u16) -> String;

    /// Work on a partition begins. What only one member may do besides can be bound to the tenure of a partition.
    fn begin(&self, _partition: u16, _tenure: Tenure) {}

    /// Takes up the work from a state of this version; `None` is the beginning.
    ///
    /// # Errors
    /// A description of why the state is not usable; it is then made again from the messages that the stream still holds.
    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Self::Work, String>;

    /// Takes up the work from a state of another version.
    ///
    /// # Errors
    /// A description of why it cannot; the state is then made again from the messages that the stream still holds.
    fn migrate(&self, _partition: u16, version: u32, _state: &[u8]) -> Result<Self::Work, String> {
        let (name, own) = (Self::NAME, Self::VERSION);
        Err(format!(
            "state of {name} has version {version}, this program reads {own}"
        ))
    }
}
