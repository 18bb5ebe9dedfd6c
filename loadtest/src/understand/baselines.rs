//! What simple rules of thumb would have named, beside the correlator: each sees the same messages and names an object.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::Severity;
use bus_schema::event::network::Role;
use bus_schema::event::{Body, Event};
use bus_schema::names::TOPOLOGY_STREAM;

use crate::campaign::scenario::{Kind, Truth};
use crate::campaign::score::{Calls, Row, Verdict};
use crate::corpus::{Case, Recording};

/// Whoever looks for the most recent change looks so far back.
const LOOK_BACK_NS: u64 = 15 * 60 * 1_000_000_000;

/// Rules of thumb, by name.
pub const NAMES: [&str; 4] = [
    "most recent change",
    "loudest service",
    "deepest failing service",
    "first warning",
];

/// What a recording says of changes, failures and calls, in order of time (UNIX ns).
#[derive(Debug, Default)]
pub struct Heard {
    /// Who called whom.
    pub calls: Calls,
    changes: Vec<(u64, String)>,
    failures: Vec<Failure>,
    warnings: Vec<(u64, String)>,
}

#[derive(Debug)]
struct Failure {
    time_ns: u64,
    of: String,
    /// Whom it called, where it is the caller who tells.
    callee: Option<String>,
    count: u64,
}

impl Heard {
    /// All that a recording says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(recording: &Recording) -> Result<Self> {
        let (mut heard, mut codec) = (Self::default(), Codec::new()?);
        for message in recording.messages()?.1 {
            heard.take(&mut codec, &message)?;
        }
        Ok(heard)
    }

    /// Takes a message.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn take(&mut self, codec: &mut Codec, message: &Recorded) -> Result<()> {
        if message.stream != TOPOLOGY_STREAM {
            for event in codec.unpack(&message.payload)?.events {
                self.hear(&event);
            }
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event) {
        let (time_ns, of) = (event.time_ns, event.subject.key());
        if matches!(event.body, Body::SpecChanged(_) | Body::ExecutableChanged(_)) {
            self.changes.push((time_ns, of.clone()));
        }
        let callee = event
            .object
            .as_ref()
            .filter(|_| event.body.role() == Some(Role::Client));
        // who only runs on a node, such as the kubelet, has no callers that could feel what happens to it
        if let Some(callee) = callee.filter(|_| event.subject.workload.is_some()) {
            self.calls.hear(&event.subject.label(), &callee.label());
        }
        let count = failures(&event.body);
        if count > 0 {
            self.failures.push(Failure {
                time_ns,
                of: of.clone(),
                callee: callee.map(bus_schema::Entity::key),
                count,
            });
        }
        if event.severity >= Severity::Warning {
            self.warnings.push((time_ns, of));
        }
    }

    /// What each rule of thumb names for a case, in the order of [`NAMES`].
    fn named(&self, case: &Case) -> [Option<String>; 4] {
        let time = case.played.at_ns..case.played.until_ns;
        let failures: Vec<_> = self
            .failures
            .iter()
            .filter(|failure| time.contains(&failure.time_ns))
            .collect();
        let first_ns = failures
            .iter()
            .map(|failure| failure.time_ns)
            .min()
            .unwrap_or(time.end);
        let recent = first_ns.saturating_sub(LOOK_BACK_NS)..=first_ns;
        let change = self
            .changes
            .iter()
            .filter(|(time_ns, _)| recent.contains(time_ns))
            .max();
        let warning = self
            .warnings
            .iter()
            .filter(|(time_ns, _)| time.contains(time_ns))
            .min();
        [
            change.map(|(_, key)| key.clone()),
            loudest(&failures),
            deepest(&failures),
            warning.map(|(_, key)| key.clone()),
        ]
    }
}

fn failures(body: &Body) -> u64 {
    if let Body::HttpStats(stats) = body {
        stats.server_errors() + stats.unanswered.total()
    } else if let Body::EdgeStats(stats) = body {
        stats.refused + stats.timed_out + stats.unreachable + stats.failed_otherwise
    } else {
        0
    }
}

fn loudest(failures: &[&Failure]) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in failures {
        *counts.entry(&failure.of).or_default() += failure.count;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(key, _)| key.to_owned())
}

/// From the loudest along failing calls, to one whose own calls do not fail.
fn deepest(failures: &[&Failure]) -> Option<String> {
    let mut at = loudest(failures)?;
    let mut passed = BTreeSet::new();
    while passed.insert(at.clone()) {
        let mut own = failures.iter().filter(|failure| failure.of == at);
        let callee = own.find_map(|failure| failure.callee.clone());
        let Some(callee) = callee else { break };
        at = callee;
    }
    Some(at)
}

/// How often each rule of thumb names the right object, beside the correlator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baselines {
    faults: usize,
    correlator: usize,
    right: [usize; NAMES.len()],
}

impl Baselines {
    /// Counts a case with its rows.
    pub fn count(&mut self, heard: &Heard, case: &Case, rows: &[Row]) {
        if case.kind == Kind::Control {
            return;
        }
        let named = heard.named(case);
        for (truth, row) in case.truth.iter().zip(rows) {
            self.faults += 1;
            self.correlator += usize::from(row.root >= Verdict::Object);
            for (right, named) in self.right.iter_mut().zip(&named) {
                *right += usize::from(named.as_deref().is_some_and(|named| is_root(truth, named)));
            }
        }
    }

    /// Names of the figures.
    pub fn head() -> Vec<String> {
        let names = ["right object named by", "faults", "correlator"];
        names.into_iter().chain(NAMES).map(str::to_owned).collect()
    }

    /// The figures.
    pub fn line(&self, what: &str) -> Vec<String> {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred cases")]
        let share = |of: usize| format!("{:.0} %", 100.0 * of as f64 / self.faults.max(1) as f64);
        let shares = [self.correlator].into_iter().chain(self.right).map(share);
        [what.to_owned(), self.faults.to_string()]
            .into_iter()
            .chain(shares)
            .collect()
    }
}

fn is_root(truth: &Truth, key: &str) -> bool {
    let root = &truth.root;
    key == format!("{}/{}/{}", root.kind, root.namespace, root.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(of: &str, callee: Option<&str>, count: u64) -> Failure {
        Failure {
            time_ns: 1,
            of: of.to_owned(),
            callee: callee.map(str::to_owned),
            count,
        }
    }

    #[test]
    fn the_loudest_fails_most_and_the_deepest_is_where_failing_calls_end() {
        let all = [
            failure("edge", Some("shop"), 50),
            failure("shop", Some("cart"), 20),
            failure("cart", None, 5),
        ];
        let all: Vec<_> = all.iter().collect();
        assert_eq!(loudest(&all).as_deref(), Some("edge"));
        assert_eq!(deepest(&all).as_deref(), Some("cart"));
        assert_eq!(loudest(&[]), None);
    }

    #[test]
    fn who_calls_in_a_circle_is_left_where_it_began() {
        let all = [failure("a", Some("b"), 2), failure("b", Some("a"), 1)];
        let all: Vec<_> = all.iter().collect();
        assert_eq!(deepest(&all).as_deref(), Some("a"));
    }
}
