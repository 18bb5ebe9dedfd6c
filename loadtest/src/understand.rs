//! How well the correlator understands: every case of the corpus replayed and scored.

pub mod calibration;

// Writing to a String cannot fail: the results are dropped.
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use correlator::rules::RuleBook;

use crate::campaign::score::{Row, Verdict};
use crate::campaign::{sums, table};
use crate::corpus::Recording;
use crate::corpus::replayed;
use calibration::Calibration;

/// What is replayed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of recordings
    #[arg(long, value_name = "FOLDER", default_value = "correlator/corpus")]
    pub corpus: PathBuf,
    /// Folder whose rules replace those that are built in, or join them
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,
}

/// Replays everything; gives the table of every recording, and the sums of all.
///
/// # Errors
/// When a recording or the rules cannot be read.
pub fn run(options: &Options) -> Result<String> {
    let book = Arc::new(RuleBook::load(options.rules.as_deref())?);
    let recordings = Recording::all(&options.corpus)?;
    if recordings.is_empty() {
        bail!("{} has no recording", options.corpus.display());
    }
    let (mut text, mut all) = (String::new(), Vec::new());
    for recording in &recordings {
        let rows = replayed::rows(recording, &book)?;
        let (scored, sentences) = (table::rows(&rows), table::narratives(&rows));
        let _ = writeln!(text, "## {}\n\n{scored}\n{sentences}", recording.name);
        all.extend(rows);
    }
    let mut remarks = sums::remarks(&all);
    let calibration = Calibration::of(claims(&all));
    remarks.push((
        "expected calibration error".into(),
        format!("{:.3}", calibration.error()),
    ));
    text.push_str(&table::sums(&sums::checks_of_rows(&all), &remarks));
    let _ = write!(text, "\n{calibration}");
    Ok(text)
}

/// What was claimed of each root, and whether it was right.
fn claims(rows: &[Row]) -> impl Iterator<Item = (f64, bool)> {
    rows.iter()
        .filter_map(|row| Some((row.confidence?, row.root == Verdict::Right)))
}
