//! The binary: reads the arguments, runs the command, turns its failure into one sentence and an exit code.

use std::process::ExitCode;

use clap::Parser;

use cli::args::Cli;

/// `EX_USAGE` of sysexits.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; when nobody reads them, nobody misses them.
            let printed = error.print();
            return match (error.use_stderr(), printed) {
                (false, Ok(()) | Err(_)) => ExitCode::SUCCESS,
                (true, Ok(()) | Err(_)) => ExitCode::from(USAGE),
            };
        }
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
