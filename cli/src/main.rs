//! The binary: reads the arguments, runs the command, turns its failure into one sentence and an exit code.

use std::process::ExitCode;

use clap::Parser;

use cli::args::Cli;

fn main() -> ExitCode {
    #[cfg(feature = "all")]
    match cli::all::run(&std::env::args_os().next().unwrap_or_default()) {
        Ok(None) => {}
        Ok(Some(code)) => return code,
        Err(error) => {
            cli::say_failure(&format!("the runtime does not start: {error}"));
            return ExitCode::FAILURE;
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bus_stage::config::refuse(&error),
    };
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = error.exit_code();
            cli::say_failure(&format!("{:#}", anyhow::Error::new(error)));
            ExitCode::from(code)
        }
    }
}
