//! Recordings of real faults, each with what is true about them: what the correlator says of them can be scored in seconds.

pub mod replayed;
mod trim;
pub mod worse;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bus_client::bundle::{Bundle, Head, Recorded, Writer};
use bus_client::codec::Codec;
use serde::{Deserialize, Serialize};

use crate::campaign::scenario::{Kind, Scenario, Truth};
use crate::campaign::score::Played;

/// Ends of the two files of a recording.
const BUNDLE: &str = "tapio";
const CASES: &str = "json";
/// What is recorded before the first fault: baselines, relations, what the observers can see.
const BEFORE_NS: u64 = 120_000_000_000;

/// Where a recording becomes part of the corpus.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of faults/ and controls/
    #[arg(long, value_name = "FOLDER", default_value = "deploy/lab")]
    pub folder: PathBuf,
    /// What a campaign left: recording.tapio and rows.jsonl
    #[arg(long, value_name = "FOLDER")]
    pub results: PathBuf,
    /// The recording to write, without its end
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// One fault or control of a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// Name of its scenario.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// When it was played, and what users noticed.
    pub played: Played,
    /// What is true.
    pub truth: Vec<Truth>,
}

/// A row of a campaign, as far as a case needs it.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    kind: Kind,
    #[serde(flatten)]
    played: Played,
}

/// A recording and its cases, in order of time.
#[derive(Debug)]
pub struct Recording {
    /// Name of its files.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
    path: PathBuf,
}

impl Recording {
    /// Every recording of a folder, by name.
    ///
    /// # Errors
    /// When the folder or a list of cases cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut recordings = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|end| end != BUNDLE) {
                continue;
            }
            let cases = path.with_extension(CASES);
            let text = std::fs::read_to_string(&cases)
                .with_context(|| format!("cannot read {}", cases.display()))?;
            let cases =
                serde_json::from_str(&text).with_context(|| format!("{} is not right", cases.display()))?;
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            recordings.push(Self { name, cases, path });
        }
        recordings.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(recordings)
    }

    /// What was recorded, in the order of the bus.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn messages(&self) -> Result<(Head, Vec<Recorded>)> {
        read(&self.path)
    }
}

fn read(path: &Path) -> Result<(Head, Vec<Recorded>)> {
    let name = || format!("cannot read {}", path.display());
    let bundle = Bundle::open(File::open(path).with_context(name)?).with_context(name)?;
    let head = bundle.head.clone();
    let messages = bundle.collect::<Result<_, _>>().with_context(name)?;
    Ok((head, correlator::run::replay::in_order(messages)))
}

/// Makes a recording of the corpus from what a campaign left: only the time of its cases, which are listed beside it. Gives
/// the number of cases and the bytes of the recording.
///
/// # Errors
/// When something is missing, or no case was played.
pub fn make(options: &Options) -> Result<(usize, u64)> {
    let cases = cases(options)?;
    let (Some(first), Some(last)) = (cases.first(), cases.last()) else {
        bail!("no fault or control was played");
    };
    let time = first.played.at_ns.saturating_sub(BEFORE_NS)..=last.played.until_ns;
    let (head, mut messages) = read(&options.results.join("recording.tapio"))?;
    // What was told of relations before then still holds.
    let is_older_relation = |message: &Recorded| {
        message.stream == bus_schema::names::TOPOLOGY_STREAM && message.stored_ns < *time.start()
    };
    messages.retain(|message| time.contains(&message.stored_ns) || is_older_relation(message));
    let mut codec = Codec::new()?;
    let path = options.to.with_extension(BUNDLE);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = Writer::new(file, &head)?;
    for message in messages {
        writer.write(&trim::trim(&mut codec, message)?)?;
    }
    let bytes = writer.finish()?.metadata()?.len();
    let path = options.to.with_extension(CASES);
    let text = serde_json::to_string_pretty(&cases)?;
    std::fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    Ok((cases.len(), bytes))
}

fn cases(options: &Options) -> Result<Vec<Case>> {
    let path = options.results.join("rows.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scenarios = Scenario::all(&options.folder, Kind::Fault)?;
    scenarios.extend(Scenario::all(&options.folder, Kind::Control)?);
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let row: Row =
            serde_json::from_str(line).with_context(|| format!("{} is not right", path.display()))?;
        let is_known = cases.iter().any(|case| case.played.at_ns == row.played.at_ns);
        let scenario = scenarios.iter().find(|scenario| scenario.name == row.name);
        let Some(scenario) = scenario.filter(|_| !is_known && row.played.failure.is_none()) else {
            continue;
        };
        cases.push(Case {
            name: row.name,
            kind: row.kind,
            played: row.played,
            truth: scenario.truth.clone(),
        });
    }
    cases.sort_by_key(|case| case.played.at_ns);
    Ok(cases)
}

#[cfg(test)]
mod tests;
