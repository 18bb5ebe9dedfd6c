//! What can stop a role of the shop from starting or from going on.

use std::io;
use std::path::PathBuf;

/// Why a role could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other or name something impossible.
    #[error("bad configuration: {0}")]
    Config(String),
    /// The access log could not be opened.
    #[error("cannot open the access log {}", path.display())]
    AccessLog {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The signal handlers could not be installed.
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
    /// The latencies could not be recorded.
    #[error("cannot make the latency histogram")]
    Histogram(#[source] hdrhistogram::CreationError),
    /// The report could not be written.
    #[error("cannot write the report")]
    Report(#[source] io::Error),
}
