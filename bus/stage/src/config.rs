//! What every process can be told, by flag or environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use bus_schema::names::MAX_PARTITIONS;
use clap::ValueEnum;

use crate::exit;

// Not doc comments: clap would take them for the program's own text.
// Flattened into the command line of every process.
#[derive(Debug, Clone, clap::Args)]
#[expect(missing_docs, reason = "each field's help is its documentation")]
pub struct Args {
    #[arg(
        long,
        env = "TAPIO_NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        value_delimiter = ',',
        help = "NATS servers"
    )]
    pub nats_url: Vec<String>,
    #[arg(long, env = "TAPIO_NATS_CREDS", help = "file with NATS user credentials")]
    pub nats_creds: Option<PathBuf>,
    #[arg(long, env = "TAPIO_NATS_USER", requires = "nats_password", help = "NATS user")]
    pub nats_user: Option<String>,
    #[arg(
        long,
        env = "TAPIO_NATS_PASSWORD",
        hide_env_values = true,
        help = "password of the NATS user"
    )]
    pub nats_password: Option<String>,
    #[arg(
        long,
        env = "TAPIO_NATS_CA",
        help = "certificate authority of the NATS servers"
    )]
    pub nats_ca: Option<PathBuf>,
    #[arg(
        long,
        env = "TAPIO_NATS_INBOX_PREFIX",
        help = "prefix of reply subjects, where permissions name one"
    )]
    pub nats_inbox_prefix: Option<String>,
    #[arg(
        long,
        env = "TAPIO_CLUSTER",
        default_value = "default",
        help = "name of the cluster"
    )]
    pub cluster: String,
    #[arg(
        long,
        env = "TAPIO_NODE",
        help = "name of this node [default: the host's name]"
    )]
    pub node: Option<String>,
    #[arg(
        long,
        env = "TAPIO_HEALTH_ADDR",
        help = "address of /healthz, /readyz and /metrics"
    )]
    pub health_addr: Option<SocketAddr>,
    #[arg(long, env = "TAPIO_PARTITIONS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PARTITIONS)), help = "partitions of the event streams")]
    pub partitions: u16,
    #[arg(long, env = "TAPIO_STREAM_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5), help = "copies of each stream, where a cluster of NATS servers has that many")]
    pub stream_replicas: u8,
    #[arg(
        long,
        env = "TAPIO_STATE_DIR",
        default_value = "/var/lib/tapio",
        help = "folder for what cannot be sent at the moment"
    )]
    pub state_dir: PathBuf,
    #[arg(
        long,
        env = "TAPIO_LOG",
        default_value = "info",
        help = "log level, or a filter such as info,observer_base=debug"
    )]
    pub log: String,
    #[arg(long, env = "TAPIO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto, help = "form of the log")]
    pub log_format: LogFormat,
    #[arg(long, env = "TAPIO_DIE_WITH_PARENT", value_parser = clap::builder::BoolishValueParser::new(), default_value_t = false, help = "end when the parent process ends")]
    pub die_with_parent: bool,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// Name of this node: as told, else the host's.
    pub fn node_name(&self) -> String {
        self.node
            .clone()
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    /// How to connect to NATS under the name `process`.
    pub fn bus(&self, process: &str) -> bus_client::Config {
        bus_client::Config {
            urls: self.nats_url.clone(),
            name: format!("{process}@{}", self.node_name()),
            credentials: self.nats_creds.clone(),
            user: self.nats_user.clone().zip(self.nats_password.clone()),
            tls_ca: self.nats_ca.clone(),
            inbox_prefix: self.nats_inbox_prefix.clone(),
            stream_replicas: usize::from(self.stream_replicas),
        }
    }
}

/// A name that no other member of a stage has: a pod has a host name of its own, and a host has process ids of its own.
pub fn member_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// Prints why a command line was not understood (or the help that was asked for), and gives the exit code for it.
pub fn refuse(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        tracing::debug!("the terminal is gone");
    }
    if error.use_stderr() {
        ExitCode::from(exit::USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
