//! What is true of a fault: its cause is known, whom it reached is measured.

use super::faults::Fault;
use super::graph::Graph;
use super::numbers::real;
use super::tally::{Pair, Sort, Tallies, Tally};
use crate::campaign::scenario::{Link, Truth};

/// A service suffers when this share of what it does fails that did not fail before, and so many times at least.
const SHARE: f64 = 0.05;
const LEAST: u64 = 8;
/// … or when it takes so many times longer.
const SLOWER: f64 = 3.0;

/// What each service suffers, by the names of conditions.
pub(super) fn sufferings(tallies: &Tallies, service: usize) -> Vec<&'static str> {
    let Pair { before, during } = &tallies.services[service];
    let more = |now: (u64, u64), then: (u64, u64)| {
        now.0 >= LEAST && Tally::share(now.0, now.1) - Tally::share(then.0, then.1) > SHARE
    };
    let slower = |now: f64, then: f64, count: u64| count >= LEAST && now > SLOWER * then;
    let failed = Sort::ALL.into_iter().filter(|sort| {
        let of = |tally: &Tally| (tally.failures(*sort), tally.calls);
        more(of(during), of(before))
    });
    let mut found: Vec<&'static str> = failed.map(Sort::condition).collect();
    if more((during.errors, during.served), (before.errors, before.served)) {
        found.push("http_5xx");
    }
    if slower(during.mean_seconds(), before.mean_seconds(), during.served) {
        found.push("http_slow");
    }
    if slower(
        during.mean_call_seconds(),
        before.mean_call_seconds(),
        during.calls,
    ) {
        found.push("http_slow_received");
    }
    found
}

/// Calls and answers that fail while there is a fault, of all services.
pub(super) fn failures(tallies: &Tallies) -> u64 {
    let of_one = |pair: &Pair| pair.during.errors + pair.during.failed.iter().sum::<u64>();
    tallies.services.iter().map(of_one).sum()
}

/// How much fails or is slow because of a fault: below some it is no clear case.
pub(super) fn is_clear(graph: &Graph, tallies: &Tallies, fault: &Fault) -> bool {
    const CLEAR: f64 = 15.0;
    let damage = fault.reached(graph).into_iter().map(|id| {
        let Pair { during, .. } = &tallies.services[id];
        let is_hit = sufferings(tallies, id)
            .iter()
            .any(|name| !name.starts_with("http_slow"));
        if is_hit {
            real(during.errors + during.failed.iter().sum::<u64>())
        } else {
            0.0
        }
    });
    damage.sum::<f64>() >= CLEAR
}

/// The truth of one fault; `others` are services that another fault reaches too.
pub(super) fn of(graph: &Graph, tallies: &Tallies, fault: &Fault, others: &[usize]) -> Truth {
    let name = |id: usize| graph.services[id].name.clone();
    let reached = fault.reached(graph);
    let suffering: Vec<(usize, Vec<&'static str>)> = reached
        .into_iter()
        .filter(|id| !others.contains(id))
        .map(|id| (id, sufferings(tallies, id)))
        .filter(|(_, conditions)| !conditions.is_empty())
        .collect();
    let mut chain = vec![Link {
        conditions: fault.root.conditions.clone(),
        name: fault.root.name.clone(),
    }];
    chain.extend(suffering.iter().map(|(id, conditions)| {
        Link {
            conditions: conditions
                .iter()
                .map(|condition| (*condition).to_owned())
                .collect(),
            name: name(*id),
        }
    }));
    let is_blameless = |id: &usize| *id != fault.target && name(*id) != fault.root.name;
    Truth {
        root: fault.root.clone(),
        chain,
        affected: suffering.iter().map(|(id, _)| name(*id)).collect(),
        blameless: graph.services.ids().filter(is_blameless).map(name).collect(),
        advice: fault.advice.clone(),
        observed: fault.is_observed,
    }
}
