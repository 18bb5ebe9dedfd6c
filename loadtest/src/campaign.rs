//! The campaign: real faults and controls on a real cluster, one after the other, and what was told about each.

pub mod cluster;
pub mod cost;
pub mod incidents;
pub mod kills;
pub mod order;
pub mod play;
pub mod scenario;
pub mod score;
pub mod shell;
pub mod sums;
pub mod table;
pub mod users;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bus_stage::clock::now_ns;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use cost::Sampler;
use incidents::Incidents;
use kills::Killer;
use order::Order;
use play::Player;
use scenario::{Kind, Scenario};
use score::{Played, Revision, Row};
use shell::Shell;

/// Revisions of the last scenario have this long to come.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// Who reads incidents from their stream.
const READER: &str = "reader";
/// Who has leases, and what they say when they lose one.
const LEASE_HOLDERS: [&str; 2] = ["enricher", "correlator"];
const LEASE_LOST: &str = "lease lost";

/// What is played, and where everything is.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of faults/, controls/ and lib/faults.sh
    #[arg(long, value_name = "FOLDER", default_value = "deploy/lab")]
    pub folder: PathBuf,
    /// The users' log, which grows while they ask
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub users_log: Option<PathBuf>,
    /// Address at which users from outside reach the store
    #[arg(long, value_name = "ADDRESS", default_value = "10.99.0.1")]
    pub users_host: String,
    /// Where incidents.jsonl, rows.jsonl and snippets.log are written
    #[arg(long, value_name = "FOLDER", required_unless_present = "list")]
    pub results: Option<PathBuf>,
    /// Decides the order and the pauses
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Play for that long, all again and again; without it, each once
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: Option<u64>,
    /// Kill correlators, enrichers and NATS with SIGKILL that often at random moments of the time
    #[arg(long, value_name = "COUNT", requires = "minutes")]
    pub kills: Option<usize>,
    /// Names of faults and controls; without it, all
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// No fault or control is left alone for longer than that
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub longest_hold: u64,
    /// Execute the command that is advised, and see whether it heals
    #[arg(long)]
    pub heal: bool,
    /// Exit with 1 when a bound is not met
    #[arg(long)]
    pub strict: bool,
    /// Only list the faults and controls
    #[arg(long)]
    pub list: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// The tables.
    pub text: String,
    /// Whether everything could be played.
    pub complete: bool,
    /// Whether every bound is met.
    pub met: bool,
}

type Scenarios = Vec<(Kind, Scenario)>;

/// The names and what they are, one a line.
///
/// # Errors
/// When a file is not right.
pub fn list(options: &Options) -> Result<String> {
    let line = |(kind, scenario): &(Kind, Scenario)| {
        format!("{:9} {:24} {}\n", kind.folder(), scenario.name, scenario.summary)
    };
    Ok(scenarios(options)?.iter().map(line).collect())
}

fn scenarios(options: &Options) -> Result<Scenarios> {
    let mut all = Scenarios::new();
    for kind in [Kind::Fault, Kind::Control] {
        let of_kind = Scenario::all(&options.folder, kind)?;
        all.extend(of_kind.into_iter().map(|scenario| (kind, scenario)));
    }
    for name in &options.only {
        if !all.iter().any(|(_, scenario)| scenario.name == *name) {
            bail!("there is no fault or control {name}; --list has their names");
        }
    }
    all.retain(|(_, scenario)| options.only.is_empty() || options.only.contains(&scenario.name));
    Ok(all)
}

/// Plays until everything was played, the time is over or `stop` says so, and sums up.
///
/// # Errors
/// When a file is not right, the store does not work, or Tapio is not there.
pub async fn run(options: &Options, stop: &CancellationToken) -> Result<Outcome> {
    let scenarios = scenarios(options)?;
    let results = options.results.clone().context("--results is missing")?;
    std::fs::create_dir_all(&results).with_context(|| format!("cannot make {}", results.display()))?;
    let shell = Shell {
        functions: options.folder.join("lib/faults.sh"),
        users_log: options.users_log.clone().context("--users-log is missing")?,
        users_host: options.users_host.clone(),
        log: results.join("snippets.log"),
    };
    let (url, user) = cluster::bus(READER).await?;
    let incidents = Incidents::follow(&url, user, &results.join("incidents.jsonl")).await?;
    let longest_hold = Duration::from_secs(options.longest_hold);
    let mut player = Player::ready(shell, longest_hold, options.heal).await?;
    say(&format!(
        "users are well: nine of ten answers within {:.3} s",
        player.usual_seconds()
    ));
    let (leases_before, sampler) = (leases_lost().await?, Sampler::start());
    let killer = killer(options);
    let plays = play_all(options, &scenarios, &mut player, &incidents, stop).await;
    if !stop.is_cancelled() {
        sleep(LAST_WORDS).await;
    }
    let kills = killer.map(|killer| killer.done()).unwrap_or_default();
    let (seen, kills_told) = kills::without_kills(incidents.seen(), &kills);
    let rows = rows(&scenarios, &plays, &seen);
    let lost = leases_lost().await?.saturating_sub(leases_before);
    let (costs, mut remarks) = (sampler.costs(), sums::remarks(&rows));
    let strangers = score::strangers(&seen);
    remarks.push((
        "incidents of what else runs on this host".into(),
        strangers.to_string(),
    ));
    if !kills.is_empty() {
        let told = format!("{kills_told} of {}", kills.len());
        remarks.push(("incidents of Tapio's killed processes".into(), told));
    }
    let checks = sums::checks(&rows, &costs, lost);
    write_lines(&results.join("rows.jsonl"), &rows)?;
    write_lines(&results.join("costs.jsonl"), &costs)?;
    write_lines(&results.join("kills.jsonl"), &kills)?;
    write_lines(&results.join("sums.jsonl"), &checks)?;
    let parts = [
        table::rows(&rows),
        table::narratives(&rows),
        table::costs(&costs),
        table::sums(&checks, &remarks),
    ];
    Ok(Outcome {
        text: parts.join("\n"),
        complete: rows.iter().all(|row| row.played.failure.is_none()),
        met: checks.iter().all(|check| check.met),
    })
}

fn killer(options: &Options) -> Option<Killer> {
    let (count, minutes) = options.kills.zip(options.minutes)?;
    Some(Killer::start(count, of_minutes(minutes), options.seed))
}

const fn of_minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Number of the scenario, and how it went.
type Plays = Vec<(usize, Played)>;

async fn play_all(
    options: &Options,
    scenarios: &Scenarios,
    player: &mut Player,
    incidents: &Incidents,
    stop: &CancellationToken,
) -> Plays {
    let end = options
        .minutes
        .map(|minutes| Instant::now() + of_minutes(minutes));
    let mut so_far = Plays::new();
    for (number, pause) in Order::new(scenarios.len(), options.seed) {
        let is_over = end.map_or(so_far.len() >= scenarios.len(), |end| Instant::now() >= end);
        let Some((kind, scenario)) = scenarios.get(number).filter(|_| !is_over) else {
            break;
        };
        match stop.run_until_cancelled(player.pause(pause)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                say(&format!("{error:#}; what follows is not played"));
                so_far.push((number, not_played(&error)));
                break;
            }
            None => break,
        }
        say(&format!(
            "{} {}: {}",
            kind.folder(),
            scenario.name,
            scenario.summary
        ));
        let outcome = Box::pin(player.play(scenario, incidents, stop)).await;
        say_played(&outcome);
        so_far.push((number, outcome));
    }
    so_far
}

fn not_played(error: &anyhow::Error) -> Played {
    Played {
        at_ns: now_ns(),
        failure: Some(format!("{error:#}")),
        ..Played::default()
    }
}

fn say_played(played: &Played) {
    let effect = &played.effect;
    let what = format!(
        "  {} of {} requests failed, {} were slow",
        effect.failed, effect.requests, effect.slow
    );
    say(&played
        .failure
        .as_ref()
        .map_or(what.clone(), |why| format!("{what}; {why}")));
}

/// A scenario's time lasts until the next one's fault.
fn rows(scenarios: &Scenarios, plays: &Plays, seen: &[Revision]) -> Vec<Row> {
    let ends = plays.iter().skip(1).map(|(_, next)| next.at_ns).chain([now_ns()]);
    let mut rows = Vec::new();
    for ((number, played), until_ns) in plays.iter().zip(ends) {
        let played = Played {
            until_ns,
            ..played.clone()
        };
        if let Some((kind, scenario)) = scenarios.get(*number) {
            rows.extend(score::score(scenario, *kind, &played, seen));
        }
    }
    rows
}

async fn leases_lost() -> Result<usize> {
    let mut lost = 0;
    for app in LEASE_HOLDERS {
        lost += cluster::lines_with(app, LEASE_LOST).await?;
    }
    Ok(lost)
}

fn write_lines(file: &Path, values: &[impl Serialize]) -> Result<()> {
    let mut text = String::new();
    for value in values {
        text.push_str(&serde_json::to_string(value)?);
        text.push('\n');
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[expect(clippy::print_stderr, reason = "how far the campaign has come")]
fn say(text: &str) {
    eprintln!("{} {text}", bus_schema::Timestamp(now_ns()).clock());
}
