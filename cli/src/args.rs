//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use correlator::run::replay::without::Without;

pub use crate::demo::args::DemoArgs;
use crate::exec;

/// Watches nodes through eBPF and explains incidents as causal chains.
///
/// Exit codes are those of sysexits: 64 wrong usage, 66 no such incident, 69 something needed is unavailable, 73 the
/// lock is held or a file cannot be made, 77 not permitted. `demo` exits 1 when the explanation was wrong, `replay --check`
/// when something differs.
#[derive(Debug, Parser)]
#[command(name = "tapio", version)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// Print JSON instead of text.
    #[arg(long, env = "TAPIO_JSON", global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
pub(crate) struct NatsArgs {
    /// The bus. Without it: that of the pipeline on this host, or else port 4222 of this host.
    #[arg(long, env = "TAPIO_NATS_URL", value_name = "URL", global = true)]
    pub(crate) nats_url: Option<String>,
    /// File with NATS user credentials.
    #[arg(long, env = "TAPIO_NATS_CREDS", value_name = "FILE", global = true)]
    pub(crate) nats_creds: Option<PathBuf>,
    /// NATS user.
    #[arg(long, env = "TAPIO_NATS_USER", value_name = "NAME", global = true)]
    pub(crate) nats_user: Option<String>,
    /// Password of the NATS user.
    #[arg(
        long,
        env = "TAPIO_NATS_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true,
        global = true
    )]
    pub(crate) nats_password: Option<String>,
    /// Certificate authority of the NATS servers.
    #[arg(long, env = "TAPIO_NATS_CA", value_name = "FILE", global = true)]
    pub(crate) nats_ca: Option<PathBuf>,
    /// Prefix of reply subjects, where permissions name one.
    #[arg(long, env = "TAPIO_NATS_INBOX_PREFIX", value_name = "PREFIX", global = true)]
    pub(crate) nats_inbox_prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole pipeline on this host until SIGTERM.
    Up(UpArgs),
    /// Break something on this host for real, and check the explanation (as root).
    Demo(Box<DemoArgs>),
    /// List incidents, the newest revision of each.
    Incidents(IncidentsArgs),
    /// Tell everything about one incident.
    Explain(ExplainArgs),
    /// Show what goes over a subject, as JSON lines.
    Tail(TailArgs),
    /// Write what the correlator reads into a file, to be replayed.
    Record(RecordArgs),
    /// Print the incidents that follow from a file of `record`.
    Replay(ReplayArgs),
    /// Turn one message on stdin into JSON lines: nats sub --translate 'tapio decode' 'tapio.>'.
    Decode,
    /// Send an event through the pipeline, and say how long it took.
    Ping(PingArgs),
    /// Say what this host lets Tapio see.
    Doctor,
    /// Become another program; for tapio's own children.
    #[command(name = "__exec", hide = true)]
    Exec(exec::Args),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UpArgs {
    /// Name of the cluster in events and incidents.
    #[arg(long, env = "TAPIO_CLUSTER", value_name = "NAME", default_value = "local")]
    pub(crate) cluster: String,
    /// Name of this node; its host name otherwise.
    #[arg(long, env = "TAPIO_NODE", value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// OTLP endpoint that incidents are exported to, whenever something listens there [default: port 4317 of this host].
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Leave the folder with the logs behind.
    #[arg(long, env = "TAPIO_KEEP")]
    pub(crate) keep: bool,
    /// How long everything may take to get ready.
    #[arg(long, env = "TAPIO_START_TIMEOUT", value_name = "DURATION", default_value = "30s",
          value_parser = humantime::parse_duration)]
    pub(crate) start_timeout: Duration,
    /// The nats-server to run; otherwise the one beside tapio, in target/tools, or in PATH.
    #[arg(long, env = "TAPIO_NATS_SERVER", value_name = "FILE")]
    pub(crate) nats_server: Option<PathBuf>,
    /// File whose lock keeps a second pipeline off this host.
    #[arg(long, env = "TAPIO_LOCK", value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IncidentsArgs {
    /// Go on with new revisions as they come.
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PingArgs {
    /// Name of the cluster in the event.
    #[arg(long, env = "TAPIO_CLUSTER", value_name = "NAME", default_value = "default")]
    pub(crate) cluster: String,
    /// How long it may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) patience: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Id of the incident, or its beginning, with or without INC-.
    pub(crate) id: String,
    /// Only what may have started it: how probable each was, what it explains and what it leaves open.
    #[arg(long)]
    pub(crate) why: bool,
    /// Only what is known of this entity, and why it is not the root: a name or a key, as in redis or Deployment/shop/redis.
    #[arg(long, value_name = "ENTITY", conflicts_with = "why")]
    pub(crate) why_not: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// Subject; `*` and `>` stand for one and for all further tokens.
    #[arg(default_value = "tapio.>")]
    pub(crate) subject: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// The file to write; - is the standard output.
    pub(crate) file: PathBuf,
    /// Go on with what comes until SIGINT or SIGTERM, instead of what the streams hold (up to half an hour).
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// A file that `record` wrote.
    pub(crate) file: PathBuf,
    /// As if that had not been: an event by its id, an entity by its key (Deployment/shop/redis), or all of an observer.
    #[arg(long, value_name = "EVENT|ENTITY|OBSERVER")]
    pub(crate) without: Vec<Without>,
    /// Folder whose rules replace those that are built in, or join them.
    #[arg(long, env = "TAPIO_RULES", value_name = "FOLDER")]
    pub(crate) rules: Option<PathBuf>,
    /// How many threads fold the partitions and relations; the incidents are the same to the byte.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) workers: NonZeroUsize,
    /// Print no incidents but whether they are the same: to the byte with one worker, and in their roots, members and states
    /// when reports of different partitions come in another order. Otherwise the first message after which they differ, and 1.
    #[arg(long)]
    pub(crate) check: bool,
    /// Decides the other order of --check.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "check")]
    pub(crate) seed: u64,
    /// How late a report may be in the other order of --check.
    #[arg(long, value_name = "DURATION", default_value = "500ms", requires = "check",
          value_parser = humantime::parse_duration)]
    pub(crate) late: Duration,
}
