//! How well the correlator understands: every case of the corpus replayed and scored, as it was recorded and as a worse-off Tapio
//! would have heard it.

pub mod baselines;
pub mod calibration;
pub mod counterfactual;
pub mod fired;
pub mod generated;
mod recorded;
mod report;
pub mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;

use crate::campaign::score::Row;
use crate::corpus::Case;
use report::Report;

/// Every row with its case.
pub type Scored = Vec<(Case, Row)>;

/// What is replayed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of recordings
    #[arg(long, value_name = "FOLDER", default_value = "correlator/corpus")]
    pub corpus: PathBuf,
    /// Folder whose rules replace those that are built in, or join them
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,
    /// Only as it was recorded
    #[arg(long)]
    pub quick: bool,
    /// Also every case of the worse-off
    #[arg(long, conflicts_with = "quick")]
    pub rows: bool,
    /// What is generated besides
    #[command(flatten)]
    pub generated: generated::Options,
}

/// Replays everything; gives the table of every case as it was recorded, and the sums of all.
///
/// # Errors
/// When a recording or the rules cannot be read.
pub fn run(options: &Options) -> Result<String> {
    let book = Arc::new(RuleBook::load(options.rules.as_deref())?);
    if let Some(plan) = &options.generated.case {
        return generated::one::case(plan, &book, &options.generated);
    }
    Ok(Report::of(options, &book)?.to_string())
}
