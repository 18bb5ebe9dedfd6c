//! What the shop itself saw: its access logs, which know nothing of the observers.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::args::{DemoArgs, Scenario};
use super::shop::Shop;

/// Of the visits that were due, at least this share is in the log.
const LEAST_FLOW: f64 = 0.5;
/// Where all is well, at most this share of visits fails: a redeployed service is away for moments.
const MOST_FAILURES: f64 = 0.05;

/// Visits of the users, as they ended, and what the gateway met on its way to the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    visits: u64,
    failed: u64,
    /// Requests whose every attempt to ask the cache failed.
    cut_off: u64,
    /// Requests that the gateway failed by itself.
    bugs: u64,
}

#[derive(Deserialize)]
struct Visit {
    outcomes: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Served {
    status: u16,
    bug: bool,
}

impl Traffic {
    /// All that the shop has logged so far.
    pub(super) fn read(shop: &Shop) -> Self {
        let mut traffic = Self::default();
        for visit in lines::<Visit>(&shop.access_log("users")) {
            traffic.visits += 1;
            traffic.failed += u64::from(!is_answered(visit.outcomes.last()));
        }
        for served in lines::<Served>(&shop.access_log("gateway")) {
            traffic.bugs += u64::from(served.bug);
            traffic.cut_off += u64::from(served.status >= 500 && !served.bug);
        }
        traffic
    }

    /// What came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            visits: self.visits - earlier.visits,
            failed: self.failed - earlier.failed,
            cut_off: self.cut_off - earlier.cut_off,
            bugs: self.bugs - earlier.bugs,
        }
    }

    /// What speaks against `within` of undisturbed traffic.
    pub(super) fn differences(&self, args: &DemoArgs, within: Duration) -> Option<String> {
        let due = f64::from(args.rate) * within.as_secs_f64();
        let flowed = share(self.visits, due) >= LEAST_FLOW;
        let succeeded = self.failed == 0 || share(self.failed, count(self.visits)) <= MOST_FAILURES;
        (!(flowed && succeeded)).then(|| format!("witness: all was well, and the shop saw {self:?}"))
    }

    /// What speaks against the scenario having happened.
    pub(super) fn differences_after(&self, args: &DemoArgs) -> Option<String> {
        let rest = args.duration.saturating_sub(args.healthy);
        let happened = match args.scenario {
            Scenario::Healthy => return self.differences(args, rest),
            Scenario::Leak | Scenario::Killed => self.failed > 0 && self.cut_off > 0 && self.bugs == 0,
            Scenario::GatewayBug => self.failed > 0 && self.bugs > 0,
        };
        (!happened).then(|| format!("witness: since the fault the shop saw {self:?}"))
    }
}

/// An answer that is no failure of the server: `{"status": 200}`.
fn is_answered(outcome: Option<&serde_json::Value>) -> bool {
    outcome
        .and_then(|outcome| outcome.get("status")?.as_u64())
        .is_some_and(|status| status < 500)
}

/// The lines of a log; the last one may still be on its way.
fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn share(part: u64, whole: f64) -> f64 {
    count(part) / whole.max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "requests of some minutes")]
fn count(number: u64) -> f64 {
    number as f64
}
