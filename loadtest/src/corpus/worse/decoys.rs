//! What draws suspicion and has nothing to do with a fault: a change just before it, and somebody else's troubles during it. Both
//! are real events of the same recording, told once more.

use std::collections::BTreeSet;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_schema::event::kubernetes::Action;
use bus_schema::event::{Body, Event};
use bus_schema::{Entity, Severity};

use super::SEED;
use super::real::{self, Real};
use crate::campaign::scenario::{Kind, Truth};
use crate::corpus::Case;

const SECOND: u64 = 1_000_000_000;
/// A decoy is changed so long before a fault, ns.
const BEFORE_NS: std::ops::Range<u64> = 2 * SECOND..20 * SECOND;
/// A bystander begins to complain so long after it, ns.
const AFTER_NS: std::ops::Range<u64> = SECOND..6 * SECOND;
/// Calls that fail do so several times, so long after each other, ns. What a process does, it does once.
const REPETITIONS: usize = 3;
const REPEATED_NS: u64 = 8 * SECOND;

/// A recording in which somebody innocent is changed before each fault.
pub(super) fn innocent_changes(messages: Vec<Recorded>, cases: &[Case]) -> Result<Vec<Recorded>> {
    let changes = real::all(&messages, is_change)?;
    let mut more = Vec::new();
    for (number, case) in faults(cases) {
        let mut dice = dice(number);
        let involved = involved(case);
        let innocent: Vec<_> = changes
            .iter()
            .filter(|change| parties(&change.event).is_disjoint(&involved))
            .collect();
        if let Some(change) = dice.choice(innocent) {
            more.push(change.at(case.played.at_ns - dice.u64(BEFORE_NS), number)?);
        }
    }
    Ok(real::with(messages, more))
}

/// A recording in which somebody else has troubles during each fault, as they come in controls: what is no incident there is none
/// here.
pub(super) fn noisy_bystanders(messages: Vec<Recorded>, cases: &[Case]) -> Result<Vec<Recorded>> {
    let troubles = real::all(&messages, is_trouble)?;
    let of_controls = by_control(&troubles, cases);
    let mut more = Vec::new();
    for (number, case) in faults(cases) {
        let mut dice = dice(number);
        let involved = involved(case);
        let is_innocent = |real: &&Real| parties(&real.event).is_disjoint(&involved);
        let choices = of_controls
            .iter()
            .map(|troubles| troubles.iter().copied().filter(is_innocent).collect::<Vec<_>>());
        let choices: Vec<_> = choices.filter(|troubles| !troubles.is_empty()).collect();
        let Some(troubles) = dice.choice(choices) else {
            continue;
        };
        let from_ns = troubles.iter().map(|real| real.event.time_ns).min().unwrap_or(0);
        let begin_ns = case.played.at_ns + dice.u64(AFTER_NS);
        for real in troubles {
            more.extend(repeated(real, begin_ns + (real.event.time_ns - from_ns), number)?);
        }
    }
    Ok(real::with(messages, more))
}

fn repeated(real: &Real, at_ns: u64, number: usize) -> Result<Vec<Recorded>> {
    let times = if is_failed_call(&real.event) {
        REPETITIONS
    } else {
        1
    };
    let copy = |repetition: usize| {
        let later_ns = REPEATED_NS * repetition as u64;
        real.at(at_ns + later_ns, number * REPETITIONS + repetition)
    };
    Ok((0..times).map(copy).collect::<Result<_, _>>()?)
}

/// The troubles of each control.
fn by_control<'a>(troubles: &'a [Real], cases: &[Case]) -> Vec<Vec<&'a Real>> {
    let controls = cases.iter().filter(|case| case.kind == Kind::Control);
    let of_it = controls.map(|case| {
        let time = case.played.at_ns..case.played.until_ns;
        let within = troubles.iter().filter(|real| time.contains(&real.event.time_ns));
        within.collect()
    });
    of_it.collect()
}

fn faults(cases: &[Case]) -> impl Iterator<Item = (usize, &Case)> {
    let faults = cases.iter().enumerate();
    faults.filter(|(_, case)| case.kind == Kind::Fault)
}

fn dice(number: usize) -> fastrand::Rng {
    fastrand::Rng::with_seed(SEED.wrapping_add(number as u64))
}

/// A change of an object that stays, made while somebody watched.
fn is_change(event: &Event) -> bool {
    if let Body::SpecChanged(change) = &event.body {
        let is_other = change.replaces_pods || !change.differences.is_empty();
        change.action == Action::Changed && is_other && !change.late && !change.rollback
    } else if let Body::ImageChanged(change) = &event.body {
        !change.late && !change.rollback
    } else {
        false
    }
}

fn is_failed_call(event: &Event) -> bool {
    matches!(event.body, Body::HttpError(_) | Body::ConnectFailed(_))
}

fn is_trouble(event: &Event) -> bool {
    let is_of_process = matches!(event.body, Body::SignalSent(_) | Body::ProcessExited(_));
    event.severity >= Severity::Warning && (is_of_process || is_failed_call(event))
}

/// Names of all whom an event speaks of.
fn parties(event: &Event) -> BTreeSet<String> {
    let ends = [Some(&event.subject), event.object.as_ref()]
        .into_iter()
        .flatten();
    let mut names: BTreeSet<String> = ends.clone().map(Entity::label).collect();
    names.extend(
        ends.flat_map(|end| &end.backends)
            .map(|backend| backend.name.clone()),
    );
    if let Body::SpecChanged(change) = &event.body {
        names.extend(change.affected.iter().map(|workload| workload.name.clone()));
    }
    names
}

/// Names of all who are part of a fault.
fn involved(case: &Case) -> BTreeSet<String> {
    let of_truth = |truth: &Truth| {
        let chain = truth.chain.iter().map(|link| link.name.clone());
        let named = [truth.root.name.clone()].into_iter().chain(chain);
        named.chain(truth.affected.clone()).collect::<Vec<_>>()
    };
    case.truth.iter().flat_map(of_truth).collect()
}
