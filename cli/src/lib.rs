//! The tapio command: run, demonstrate, look, explain.
#![forbid(unsafe_code)]

#[cfg(feature = "all")]
pub mod all;
pub mod args;
pub mod cgroup;
mod clock;
pub mod decode;
mod demo;
mod doctor;
mod error;
mod exec;
mod explain;
mod incidents;
pub mod lock;
mod nats;
mod output;
mod ping;
pub mod pipeline;
pub mod port;
mod ready;
mod record;
pub mod render;
mod replay;
mod tail;
mod up;
mod wait;

pub use error::Error;

use std::process::ExitCode;

use args::{Cli, Command};

/// Runs the command that was asked for.
///
/// `__exec` replaces the process and comes first: between fork and exec nothing else may start.
pub fn run(cli: Cli) -> Result<ExitCode, Error> {
    if let Command::Exec(args) = &cli.command {
        return Err(exec::run(args).into());
    }
    // One thread: children ask the kernel to die with the thread that started them, and this one lives to the end.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Error> {
    let Cli { nats, json, command } = cli;
    match command {
        Command::Up(args) => up::run(args, &nats).await,
        Command::Demo(args) => Box::pin(demo::run(*args, &nats, json)).await,
        Command::Incidents(args) => incidents::run(args, &nats, json).await,
        Command::Explain(args) => explain::run(&args, &nats, json).await,
        Command::Tail(args) => tail::run(&args, &nats).await,
        Command::Record(args) => record::run(&args, &nats).await,
        Command::Replay(args) => replay::run(&args, json),
        Command::Decode => decode::run(),
        Command::Ping(args) => ping::run(&args, &nats, json).await,
        Command::Doctor => doctor::run(&nats, json).await,
        Command::Exec(args) => Err(exec::run(&args).into()),
    }
}

/// One line about a failure, for `main`.
pub fn say_failure(text: &str) {
    output::note(format_args!("{} {text}", output::styled(output::BAD, "tapio:")));
}
