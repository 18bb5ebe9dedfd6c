//! Plays one scenario: the users are well, something is done, its effect is witnessed, it is taken back, they are well again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bus_stage::clock::now_ns;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::incidents::Incidents;
use super::scenario::Scenario;
use super::score::Played;
use super::shell::Shell;
use super::users::{self, Log};

/// Between two looks at the users or at a witness.
const POLL: Duration = Duration::from_millis(500);
/// An effect that is not there by then does not come.
const WITNESSED_WITHIN: Duration = Duration::from_secs(90);
/// Users who are not well by then do not get well by themselves: kubelet waits up to 80 s before it starts a container
/// for the fifth time.
const WELL_WITHIN: Duration = Duration::from_secs(240);
/// Advice that does not heal by then does not heal.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// What the users' usual pace is measured over.
const USUAL_OVER: Duration = Duration::from_secs(20);

/// What plays scenarios.
#[derive(Debug)]
pub struct Player {
    shell: Shell,
    log: Log,
    usual_seconds: f64,
    longest_hold: Duration,
    heal: bool,
}

/// UNIX time in seconds.
#[expect(clippy::cast_precision_loss, reason = "to the millisecond")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Player {
    /// A player that knows how fast the users are usually served.
    ///
    /// # Errors
    /// When they are not well for a while: the store does not work.
    pub async fn ready(shell: Shell, longest_hold: Duration, heal: bool) -> Result<Self> {
        let log = Log::new(&shell.users_log);
        let mut player = Self {
            shell,
            log,
            usual_seconds: 0.0,
            longest_hold,
            heal,
        };
        let measured = async {
            loop {
                let from = seconds(now_ns()) - USUAL_OVER.as_secs_f64();
                let requests = player.log.read()?;
                let is_long = requests.first().is_some_and(|first| first.at <= from);
                if let Some(usual) = users::usual(requests, from).filter(|_| is_long) {
                    return Ok::<f64, anyhow::Error>(usual);
                }
                sleep(POLL).await;
            }
        };
        let usual = timeout(WELL_WITHIN, measured).await;
        player.usual_seconds =
            usual.context("the users were not well for twenty seconds: the store does not work")??;
        Ok(player)
    }

    /// How long nine of ten answers usually take, in seconds.
    pub fn usual_seconds(&self) -> f64 {
        self.usual_seconds
    }

    /// Waits that long, and then until the users are well.
    ///
    /// # Errors
    /// When they do not get well.
    pub async fn pause(&mut self, length: Duration) -> Result<()> {
        sleep(length).await;
        self.well_within(WELL_WITHIN).await
    }

    /// Plays a scenario to its end. What fails on the way is told by what is returned; it is taken back all the same.
    /// So does `stop`.
    pub async fn play(
        &mut self,
        scenario: &Scenario,
        incidents: &Incidents,
        stop: &CancellationToken,
    ) -> Played {
        let mut played = Played::default();
        let result = self.attempt(scenario, incidents, &mut played, stop).await;
        played.failure = result.err().map(|error| format!("{error:#}"));
        let well = seconds(now_ns());
        if let Ok(requests) = self.log.read() {
            played.effect = users::effect(requests, seconds(played.at_ns), well, self.usual_seconds);
        }
        played
    }

    async fn attempt(
        &mut self,
        scenario: &Scenario,
        incidents: &Incidents,
        played: &mut Played,
        stop: &CancellationToken,
    ) -> Result<()> {
        let state = TempDir::new().context("cannot make a folder for the snippets")?;
        let state = state.path();
        played.at_ns = now_ns();
        let broken = async {
            self.break_it(scenario, state, played).await?;
            self.hold(scenario, incidents, played).await
        };
        let stopped = || Err(anyhow!("stopped before the end"));
        let held = stop.run_until_cancelled(broken).await.unwrap_or_else(stopped);
        let undone = self.run(scenario, "undo", &scenario.undo, state, played).await;
        let well = stop.run_until_cancelled(self.well_within(WELL_WITHIN)).await;
        held.and(undone).and(well.unwrap_or_else(stopped))
    }

    async fn break_it(&mut self, scenario: &Scenario, state: &Path, played: &mut Played) -> Result<()> {
        self.run(scenario, "setup", &scenario.setup, state, played)
            .await?;
        self.well_within(WELL_WITHIN).await?;
        played.at_ns = now_ns();
        self.run(scenario, "inject", &scenario.inject, state, played)
            .await?;
        played.at_ns = told_time(state).unwrap_or(played.at_ns);
        let seen = async {
            while self
                .run(scenario, "witness", &scenario.witness, state, played)
                .await
                .is_err()
            {
                sleep(POLL).await;
            }
        };
        let seen = timeout(WITNESSED_WITHIN, seen).await;
        seen.context("the witness did not see the effect")
    }

    /// Leaves the fault alone for its time, and then does what was advised, if that is asked for.
    async fn hold(&mut self, scenario: &Scenario, incidents: &Incidents, played: &mut Played) -> Result<()> {
        let length = Duration::from_secs(scenario.holds_seconds).min(self.longest_hold);
        let passed = Duration::from_nanos(now_ns().saturating_sub(played.at_ns));
        sleep_until(Instant::now() + length.saturating_sub(passed)).await;
        if self.heal {
            played.healed = self.follow_advice(incidents, played.at_ns).await?;
        }
        Ok(())
    }

    /// Whether the advice of the first incident since then heals; nothing when it has no command.
    async fn follow_advice(&mut self, incidents: &Incidents, at_ns: u64) -> Result<Option<bool>> {
        let seen = incidents.seen();
        let mut of_it = seen.iter().filter(|revision| revision.arrived_ns >= at_ns);
        let Some(id) = of_it.next().map(|first| first.incident.id) else {
            return Ok(None);
        };
        let newest = seen.iter().rev().find(|revision| revision.incident.id == id);
        let advice = newest.and_then(|newest| newest.incident.recommendation.as_ref());
        let Some(command) = advice
            .map(|advice| advice.command.as_str())
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let state = TempDir::new().context("cannot make a folder for the advice")?;
        let followed = self
            .shell
            .run("advice", command, state.path(), seconds(at_ns))
            .await;
        Ok(Some(
            followed.is_ok() && self.well_within(HEALED_WITHIN).await.is_ok(),
        ))
    }

    async fn run(
        &self,
        scenario: &Scenario,
        what: &str,
        snippet: &str,
        state: &Path,
        played: &Played,
    ) -> Result<()> {
        if snippet.trim().is_empty() {
            return Ok(());
        }
        let what = format!("{} of {}", what, scenario.name);
        self.shell.run(&what, snippet, state, seconds(played.at_ns)).await
    }

    async fn well_within(&mut self, bound: Duration) -> Result<()> {
        let deadline = Instant::now() + bound;
        loop {
            let now = seconds(now_ns());
            let requests = self.log.read()?;
            // Without a measured pace nobody has been well yet.
            if users::are_well(requests, now, self.usual_seconds) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("the users did not get well within {} s", bound.as_secs());
            }
            sleep(POLL).await;
        }
    }
}

/// When the fault of a snippet happened that does something else before: as `fault_is_now` has written.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of this century"
)]
fn told_time(state: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(state.join("at")).ok()?;
    let seconds: f64 = text.trim().parse().ok()?;
    Some((seconds * 1e9) as u64)
}
