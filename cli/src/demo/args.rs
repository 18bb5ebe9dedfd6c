//! Options of the demonstration.

use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;

use crate::args::UpArgs;

/// What is broken, how hard, and how long it may take to be explained.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// What happens.
    #[arg(long, env = "TAPIO_DEMO_SCENARIO", value_enum, default_value_t = Scenario::Leak)]
    pub(crate) scenario: Scenario,
    /// How often, each time with a new pipeline.
    #[arg(long, env = "TAPIO_DEMO_ROUNDS", default_value_t = 1)]
    pub(crate) rounds: u32,
    /// Memory limit of the cache.
    #[arg(long, env = "TAPIO_DEMO_LIMIT", default_value = "64MiB")]
    pub(crate) limit: ByteSize,
    /// What the leaking version keeps each second.
    #[arg(long, env = "TAPIO_DEMO_LEAK", default_value = "12MiB")]
    pub(crate) leak: ByteSize,
    /// Requests per second.
    #[arg(long, env = "TAPIO_DEMO_RATE", default_value_t = 100)]
    pub(crate) rate: u32,
    /// Port of the cache; a free one otherwise.
    #[arg(long, env = "TAPIO_DEMO_CACHE_PORT")]
    pub(crate) cache_port: Option<u16>,
    /// Port of the gateway; a free one otherwise.
    #[arg(long, env = "TAPIO_DEMO_GATEWAY_PORT")]
    pub(crate) gateway_port: Option<u16>,
    /// How long all is well before it breaks.
    #[arg(long, env = "TAPIO_DEMO_HEALTHY", default_value = "8s", value_parser = humantime::parse_duration)]
    pub(crate) healthy: Duration,
    /// How long the scenario `healthy` goes on.
    #[arg(long, env = "TAPIO_DEMO_DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// How long the explanation may take to become complete.
    #[arg(long, env = "TAPIO_DEMO_DEADLINE", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,
    /// A complete explanation must stay right for this long.
    #[arg(long, env = "TAPIO_DEMO_SETTLE", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) settle: Duration,
    #[command(flatten)]
    pub(crate) up: UpArgs,
}

/// What happens to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// A new version of the cache leaks until the kernel kills it.
    Leak,
    /// A new version of the cache is harmless: nothing may be reported.
    Healthy,
    /// A new version of the gateway answers 500; the cache is innocent.
    GatewayBug,
    /// A shell kills the cache.
    Killed,
}
