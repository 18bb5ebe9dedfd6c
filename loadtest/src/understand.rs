//! How well the correlator understands: every case of the corpus replayed and scored, as it was recorded and as a worse-off Tapio
//! would have heard it.

pub mod baselines;
pub mod calibration;
pub mod counterfactual;
pub mod fired;
pub mod generated;
pub mod summary;
pub mod unclear;

// Writing to a String cannot fail: the results are dropped.
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use bus_schema::family::FAMILIES;
use correlator::rules::RuleBook;

use crate::campaign::score::Row;
use crate::campaign::{sums, table};
use crate::corpus::replayed;
use crate::corpus::worse::Worse;
use crate::corpus::{Case, Recording};
use baselines::{Baselines, Heard};
use bus_client::codec::Codec;
use calibration::Calibration;
use counterfactual::Counterfactuals;
use fired::Fired;
use summary::Summary;

/// Shares of the events that are lost.
const LOSSES: [f64; 3] = [0.01, 0.05, 0.2];

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
    let recordings = Recording::all(&options.corpus)?;
    if recordings.is_empty() {
        bail!("{} has no recording", options.corpus.display());
    }
    let mut text = String::new();
    let all = scored(&recordings, &book, &Worse::Nothing)?;
    let rows: Vec<_> = all.iter().map(|(_, row)| row.clone()).collect();
    let _ = writeln!(text, "{}\n{}", table::rows(&rows), table::narratives(&rows));
    text.push_str(&table::sums(&sums::checks_of_rows(&rows), &sums::remarks(&rows)));
    let _ = writeln!(text, "\n{}", Calibration::of_rows(&rows));
    let mut lines = vec![Summary::head(), Summary::of(&book, &Worse::Nothing, &all).line()];
    for worse in worse_off().filter(|_| !options.quick) {
        let all = scored(&recordings, &book, &worse)?;
        lines.push(Summary::of(&book, &worse, &all).line());
        if options.rows {
            let rows: Vec<_> = all.into_iter().map(|(_, row)| row).collect();
            let _ = writeln!(
                text,
                "\n{worse}\n{}\n{}",
                table::rows(&rows),
                table::narratives(&rows)
            );
        }
    }
    let mut fired = Fired::none_of(&book);
    for row in &rows {
        fired.count(row);
    }
    let of_generated = generated::Told::of(&book, &options.generated, &mut fired)?;
    lines.extend(of_generated.lines.iter().cloned());
    let baselines: Vec<_> = of_generated.baselines().collect();
    let _ = writeln!(text, "{}", table::columns(&lines));
    let _ = writeln!(text, "{}", table::columns(&of_generated.unclear));
    let mut lines = vec![Baselines::head()];
    for recording in &recordings {
        lines.push(thumbs(recording, &all)?.line(&recording.name));
    }
    lines.extend(baselines);
    let _ = writeln!(text, "{}\n{fired}", table::columns(&lines));
    if !options.quick {
        let mut counterfactuals = Counterfactuals::default();
        for recording in &recordings {
            counterfactuals.ask(recording, &book, &all)?;
        }
        let _ = write!(text, "{counterfactuals}");
    }
    Ok(text)
}

/// Rules of thumb, over a recording.
fn thumbs(recording: &Recording, all: &[(Case, Row)]) -> Result<Baselines> {
    let (mut heard, mut codec) = (Heard::default(), Codec::new()?);
    for message in recording.messages()?.1 {
        heard.take(&mut codec, &message)?;
    }
    let mut baselines = Baselines::default();
    for case in &recording.cases {
        let rows = all
            .iter()
            .filter(|(other, _)| other.played.at_ns == case.played.at_ns);
        let rows: Vec<_> = rows.map(|(_, row)| row.clone()).collect();
        baselines.count(&heard, case, &rows);
    }
    Ok(baselines)
}

fn worse_off() -> impl Iterator<Item = Worse> {
    let losing = LOSSES.into_iter().map(Worse::Losing);
    let observers = FAMILIES.iter().flat_map(|family| family.observers);
    let built = observers.filter(|observer| observer.built);
    let without = built.map(|observer| Worse::Without(observer.token.to_owned()));
    losing.chain(Worse::UNTIDY).chain(without)
}

/// Every row with its case.
fn scored(recordings: &[Recording], book: &Arc<RuleBook>, worse: &Worse) -> Result<Vec<(Case, Row)>> {
    let mut scored = Vec::new();
    for recording in recordings {
        let revisions = replayed::revisions(recording, book, worse)?;
        for case in &recording.cases {
            let rows = replayed::of_case(case, &revisions);
            scored.extend(rows.into_iter().map(|row| (case.clone(), row)));
        }
    }
    Ok(scored)
}
