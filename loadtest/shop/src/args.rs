//! The command line: one binary, three roles, and what all roles share.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::{Error, cache, gateway, users};

/// A small shop that breaks for real: a cache, a gateway that asks it, and users who ask the gateway.
///
/// Every option can be given as an environment variable too. Bad configuration exits 64; SIGTERM and SIGINT stop a
/// role after its work in flight, and it exits 0.
#[derive(Debug, Parser)]
#[command(name = "tapio-shop", version)]
pub struct Cli {
    /// Which part of the shop this process is.
    #[command(subcommand)]
    pub role: Role,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The parts of the shop.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// A key-value server over plain TCP, which can leak memory.
    Cache(cache::CacheArgs),
    /// An HTTP/1.1 server that answers from the cache and retries at once, without back-off.
    Gateway(gateway::GatewayArgs),
    /// Clients whose rate does not depend on the answers they get; one JSON line a second.
    Users(users::UsersArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Append one JSON line per connection (cache) or request (gateway, users) to this file.
    #[arg(long, env = "TAPIO_SHOP_ACCESS_LOG", value_name = "FILE", global = true)]
    pub(crate) access_log: Option<PathBuf>,
    /// How much to log on stderr: off, error, warn, info, debug.
    #[arg(long, env = "TAPIO_LOG", value_name = "LEVEL", default_value_t = LevelFilter::INFO, global = true)]
    pub(crate) log_level: LevelFilter,
    /// Log JSON instead of text.
    #[arg(long, env = "TAPIO_LOG_JSON", global = true)]
    pub(crate) log_json: bool,
    /// How long work in flight may take after SIGTERM.
    #[arg(long, env = "TAPIO_SHOP_DRAIN", value_name = "DURATION", default_value = "5s", global = true,
          value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
}

impl Cli {
    /// Starts logging as asked for.
    pub fn start_logging(&self) {
        let builder = tracing_subscriber::fmt()
            .with_max_level(self.common.log_level)
            .with_target(false)
            .with_ansi(false)
            .with_writer(std::io::stderr);
        if self.common.log_json {
            builder.json().init();
        } else {
            builder.init();
        }
    }
}

impl Cli {
    /// Runs the role until `stop` or its own end.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let log = AccessLog::open(self.common.access_log.as_deref())?;
        let drain = self.common.drain;
        match self.role {
            Role::Cache(args) => cache::run(args, drain, log, stop).await,
            Role::Gateway(args) => gateway::run(args, drain, log, stop).await,
            Role::Users(args) => users::run(args, drain, log, stop).await,
        }
    }
}
