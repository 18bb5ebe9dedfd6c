//! Why a command failed, and with which of sysexits' codes it ends.

use bus_stage::exit::{CANNOT_CREATE, DATA, IO, NO_INPUT, NO_PERMISSION, SOFTWARE, UNAVAILABLE, USAGE};

use crate::record::RecordError;
use crate::replay::ReplayError;
use crate::{cgroup, decode, demo, exec, lock, nats, pipeline};

/// Any failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime did not start.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// This executable cannot find itself or its neighbours.
    #[error(transparent)]
    Pipeline(#[from] pipeline::Error),
    /// The bus is away.
    #[error(transparent)]
    Nats(#[from] nats::Error),
    /// Another pipeline runs.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// A message is not readable.
    #[error(transparent)]
    Decode(#[from] decode::Error),
    /// Nothing is recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing is replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The demonstration cannot be given.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// A control group.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// The helper did not become the program.
    #[error(transparent)]
    Exec(#[from] exec::Error),
    /// No incident has that id.
    #[error("no incident begins with {0}")]
    NoSuchIncident(String),
    /// Several incidents do.
    #[error("{count} incidents begin with {prefix}; give more of the id")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many fit.
        count: usize,
    },
}

impl Error {
    /// Exit code of sysexits.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) | Self::Decode(decode::Error::Read(_) | decode::Error::Write(_)) => IO,
            Self::Pipeline(error) => pipeline_code(error),
            Self::Nats(error) => nats_code(error),
            Self::Lock(error) => lock_code(error),
            Self::Decode(_) => DATA,
            Self::Record(RecordError::Write { source, .. }) => io_code(source.kind(), CANNOT_CREATE),
            Self::Replay(error) => replay_code(error),
            Self::Demo(error) => demo_code(error),
            Self::Cgroup(error) => io_code(error.source_kind(), CANNOT_CREATE),
            Self::Record(RecordError::NoStreams | RecordError::Look(_))
            | Self::Exec(exec::Error::Exec { .. }) => UNAVAILABLE,
            Self::Exec(_) => SOFTWARE,
            Self::NoSuchIncident(_) | Self::Ambiguous { .. } => NO_INPUT,
        }
    }
}

/// 128 + SIGINT, as a shell says it.
pub(crate) const INTERRUPTED: u8 = 130;

fn pipeline_code(error: &pipeline::Error) -> u8 {
    match error {
        pipeline::Error::Missing { .. } | pipeline::Error::NotReady { .. } => UNAVAILABLE,
        pipeline::Error::Io { source, .. } => io_code(source.kind(), CANNOT_CREATE),
        pipeline::Error::Interrupted => INTERRUPTED,
    }
}

fn nats_code(error: &nats::Error) -> u8 {
    match error {
        nats::Error::Unreachable { .. }
        | nats::Error::NoIncidents
        | nats::Error::Lost { .. }
        | nats::Error::NotTaken { .. }
        | nats::Error::NotEnriched { .. } => UNAVAILABLE,
        nats::Error::Unreadable { .. } => DATA,
    }
}

fn lock_code(error: &lock::Error) -> u8 {
    match error {
        lock::Error::Held { .. } | lock::Error::HeldByStranger(_) => CANNOT_CREATE,
        lock::Error::File { source, .. } => io_code(source.kind(), CANNOT_CREATE),
    }
}

fn replay_code(error: &ReplayError) -> u8 {
    match error {
        ReplayError::Open { source, .. } => io_code(source.kind(), NO_INPUT),
        ReplayError::Rules(_) => USAGE,
        ReplayError::Codec(_) | ReplayError::Encode(_) => SOFTWARE,
        ReplayError::Read(_) | ReplayError::Replay(_) | ReplayError::Incident(_) => DATA,
    }
}

fn demo_code(error: &demo::Error) -> u8 {
    match error {
        demo::Error::OwnBus => USAGE,
        demo::Error::Missing(_) | demo::Error::ShopDown { .. } => UNAVAILABLE,
        demo::Error::Io { source, .. } => io_code(source.kind(), CANNOT_CREATE),
    }
}

fn io_code(kind: std::io::ErrorKind, otherwise: u8) -> u8 {
    if kind == std::io::ErrorKind::PermissionDenied {
        NO_PERMISSION
    } else {
        otherwise
    }
}
