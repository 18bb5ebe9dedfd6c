//! `tapio-shop`: parses the command line and runs one role on a single thread.

use std::process::ExitCode;

use clap::Parser;
use shop::args::Cli;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `EX_USAGE` of sysexits.h.
const BAD_CONFIGURATION: u8 = 64;
/// Name look-ups are the only blocking work.
const BLOCKING_THREADS: usize = 4;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let bad = error.use_stderr();
            // a closed terminal is no reason to fail
            error.print().ok();
            return if bad {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    cli.start_logging();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the shop ended");
            let bad = matches!(error.downcast_ref(), Some(shop::Error::Config(_)));
            if bad {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    runtime.block_on(async {
        let stop = stop_on_signal()?;
        cli.run(stop).await
    })?;
    Ok(())
}

fn stop_on_signal() -> Result<CancellationToken, shop::Error> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(shop::Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(shop::Error::Signals)?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        token.cancel();
    });
    Ok(stop)
}
