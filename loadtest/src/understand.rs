//! How well the correlator understands: every case of the corpus replayed and scored, as it was recorded and as a worse-off Tapio
//! would have heard it.

mod ablations;
pub mod baselines;
pub mod calibration;
pub mod counterfactual;
pub mod families;
pub mod fired;
pub mod generated;
pub mod paths;
pub mod platt;
pub mod plot;
mod recorded;
mod replays;
mod report;
pub mod summary;
pub mod unclear;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
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
    /// Write the reliability diagram of what was claimed into this file, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Also with each part of the model left out
    #[arg(long)]
    pub ablations: bool,
    /// What is generated besides
    #[command(flatten)]
    pub generated: generated::Options,
}

/// Replays everything; gives the table of every case as it was recorded, and the sums of all.
///
/// # Errors
/// When a recording or the rules cannot be read, or the diagram cannot be written.
pub fn run(options: &Options) -> Result<String> {
    let book = Arc::new(RuleBook::load(options.rules.as_deref())?);
    if let Some(plan) = &options.generated.case {
        return generated::one::case(plan, &book, &options.generated);
    }
    let report = Report::of(options, &book)?;
    if let Some(path) = &options.plot {
        let written = std::fs::write(path, report.plot()?);
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report.to_string())
}
