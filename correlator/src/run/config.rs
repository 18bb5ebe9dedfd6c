//! What the correlator can be told.

use std::path::PathBuf;

use clap::Parser;

/// Default port of the health pages.
pub const PORT: u16 = 9481;

// `tapio-correlator`
#[derive(Debug, Parser)]
#[command(
    version,
    about = "Folds events into episodes and episodes into causal incidents"
)]
#[expect(missing_docs, reason = "each field's help is its documentation")]
pub struct Cli {
    #[command(flatten)]
    pub common: bus_stage::Args,
    #[arg(
        long,
        env = "TAPIO_POD",
        help = "unique name of this member [default: host name and process id]"
    )]
    pub member: Option<String>,
    #[arg(
        long,
        env = "TAPIO_RULES",
        help = "folder of rule files; each replaces the built-in one of its name or adds a pack"
    )]
    pub rules: Option<PathBuf>,
}
