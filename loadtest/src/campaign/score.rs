//! What was told about a fault against what is true: pure, from revisions and the users' log to rows.

mod edges;
mod matching;
mod order;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bus_schema::incident::{Incident, State};
use bus_schema::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use super::scenario::{Kind, Scenario, Truth};
use super::users::Effect;
pub use edges::Edges;
use matching::{advice_is_right, chain_found, concerns, is_of_campaign, is_unobserved_there, verdict};
pub use order::{Calls, Order};

/// A revision of an incident and when it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revision {
    /// UNIX ns.
    pub arrived_ns: u64,
    /// As it was published.
    pub incident: Incident,
}

/// One scenario as it was played.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Played {
    /// When its fault happened, UNIX ns.
    pub at_ns: u64,
    /// When the next one happened, or the campaign ended.
    pub until_ns: u64,
    /// What the users noticed.
    pub effect: Effect,
    /// Whether the advice healed, where it was tried.
    pub healed: Option<bool>,
    /// Why it could not be played, if so.
    pub failure: Option<String>,
}

/// How well the root was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was told.
    Untold,
    /// Another object, or the right one for something that happened there before.
    Wrong,
    /// The right object, and something else than what happened to it.
    Object,
    /// The right object, and what happened to it.
    Right,
}

/// One fault of a scenario, or a control.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Scenario.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// As it was played.
    #[serde(flatten)]
    pub played: Played,
    /// Whether a present observer sees the cause.
    pub observed: bool,
    /// From the fault to the arrival of the first revision, in seconds.
    pub opened_after_fault: Option<f64>,
    /// From the first symptom to that arrival: the users' first failed request, else their first slow one; nothing where they
    /// noticed nothing.
    pub opened_after_symptom: Option<f64>,
    /// From the fault to the first revision after which the root stayed right.
    pub right_root_after: Option<f64>,
    /// How well the root was told in the end.
    pub root: Verdict,
    /// Whether it was told in the end that nobody saw the root, and rightly where it was.
    pub unobserved_there: bool,
    /// The root that was told in the end.
    pub told: Option<String>,
    /// The events on which it rests.
    pub evidence: Vec<EventId>,
    /// The rules that link the steps of that incident.
    pub rules: BTreeSet<String>,
    /// Incidents that this fault gave, without those merged into others.
    pub incidents: usize,
    /// Links of the true chain that were told in order, and how many there are.
    pub chain: (usize, usize),
    /// Workloads that suffered and were told, and how many did.
    pub affected: (usize, usize),
    /// Blameless workloads that were named as a root.
    pub blamed: Vec<String>,
    /// Those that only suffer, or have nothing to do with it, and are named as a root in the end.
    pub victims: Vec<String>,
    /// Edges of the chains against the truth.
    pub edges: Edges,
    /// Place of the true root among the candidates of the incident that tells the fault best, from 1, the told root first; nothing
    /// where it is not among them.
    pub place: Option<usize>,
    /// Whether the advice would heal; nothing where none would.
    pub advice: Option<bool>,
    /// Probability that was claimed in the end.
    pub confidence: Option<f64>,
    /// How much observers could see of it, 0 to 1.
    pub completeness: Option<f64>,
    /// The sentences of its incidents, in the end.
    pub narratives: Vec<String>,
}

/// Every incident that came, as its revisions in order.
type Histories<'a> = Vec<Vec<&'a Revision>>;

/// The rows of one scenario: one for each independent fault, one for a control.
pub fn score(scenario: &Scenario, kind: Kind, played: &Played, revisions: &[Revision]) -> Vec<Row> {
    score_in(&Order::default(), scenario, kind, played, revisions)
}

/// The same where more is known of the order in which the parts of a truth bring each other about.
pub fn score_in(
    order: &Order,
    scenario: &Scenario,
    kind: Kind,
    played: &Played,
    revisions: &[Revision],
) -> Vec<Row> {
    let histories = histories(played, revisions);
    if kind == Kind::Control {
        return vec![row(&scenario.name, kind, played, None, &histories)];
    }
    let mut parts: Vec<Histories<'_>> = vec![Vec::new(); scenario.truth.len()];
    for history in histories {
        let part = part_of(&scenario.truth, &history);
        if let Some(part) = parts.get_mut(part) {
            part.push(history);
        }
    }
    let truths = scenario.truth.iter().zip(&parts);
    truths
        .map(|(truth, part)| {
            let incidents = in_the_end(part);
            let victims = incidents.iter();
            let victims = victims.filter_map(|told| standing::victim(truth, &scenario.truth, told));
            Row {
                victims: victims.map(str::to_owned).collect(),
                edges: edges::compare(truth, &scenario.truth, order, &incidents, played.at_ns),
                ..row(&scenario.name, kind, played, Some(truth), part)
            }
        })
        .collect()
}

/// How many incidents came of which the campaign knows nothing.
pub fn strangers(revisions: &[Revision]) -> usize {
    let mut ids: Vec<EventId> = revisions.iter().map(|revision| revision.incident.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let is_ours = |id: EventId| {
        let mut of_it = revisions.iter().filter(|revision| revision.incident.id == id);
        of_it.any(|revision| is_of_campaign(&revision.incident))
    };
    ids.retain(|id| !is_ours(*id));
    ids.len()
}

/// The incidents of a scenario: opened while it was the last one, or begun before and continued by steps of it.
fn histories<'a>(played: &Played, revisions: &'a [Revision]) -> Histories<'a> {
    let within = |time: Timestamp| (played.at_ns..played.until_ns).contains(&time.as_ns());
    let mut ids: Vec<EventId> = Vec::new();
    for Revision { incident, .. } in revisions {
        let is_of_it = within(incident.opened_at)
            || within(incident.first_symptom_at)
            || incident.steps.iter().any(|step| within(step.start));
        if is_of_it && is_of_campaign(incident) && !ids.contains(&incident.id) {
            ids.push(incident.id);
        }
    }
    let history = |id: EventId| {
        revisions
            .iter()
            .filter(move |revision| revision.incident.id == id)
    };
    ids.into_iter()
        // What a later scenario adds is no news of this one.
        .map(|id| {
            history(id)
                .filter(|revision| revision.incident.updated_at.as_ns() < played.until_ns)
                .collect()
        })
        .filter(|history: &Vec<_>| !history.is_empty())
        .collect()
}

/// Of several faults at once, the one that an incident speaks of: by its root, else by any step, else the first.
fn part_of(truths: &[Truth], history: &[&Revision]) -> usize {
    let Some(last) = history.last().map(|revision| &revision.incident) else {
        return 0;
    };
    let by_root = truths
        .iter()
        .position(|truth| verdict(truth, last, 0) >= Verdict::Object);
    let by_step = || truths.iter().position(|truth| concerns(truth, last));
    by_root.or_else(by_step).unwrap_or(0)
}

fn row(name: &str, kind: Kind, played: &Played, truth: Option<&Truth>, histories: &Histories<'_>) -> Row {
    let main = truth.and_then(|truth| main_of(truth, played, histories));
    let last = main
        .and_then(|history| history.last())
        .map(|revision| &revision.incident);
    let first = histories.iter().filter_map(|history| history.first().copied());
    let first = first.min_by_key(|revision| revision.arrived_ns);
    let roots = || {
        histories
            .iter()
            .filter_map(|history| history.last()?.incident.root_cause())
    };
    let blameless = truth.map_or(&[][..], |truth| &truth.blameless);
    Row {
        name: name.to_owned(),
        kind,
        played: played.clone(),
        observed: truth.is_some_and(|truth| truth.observed),
        opened_after_fault: first.map(|first| seconds_between(played.at_ns, first.arrived_ns)),
        opened_after_symptom: first
            .zip(symptom_ns(played))
            .map(|(first, symptom_ns)| seconds_between(symptom_ns, first.arrived_ns)),
        right_root_after: truth
            .zip(main)
            .and_then(|(truth, history)| right_after(truth, played, history)),
        root: truth.zip(last).map_or(Verdict::Untold, |(truth, last)| {
            verdict(truth, last, played.at_ns)
        }),
        unobserved_there: truth
            .zip(last)
            .is_some_and(|(truth, last)| is_unobserved_there(truth, last)),
        told: last.and_then(Incident::root_cause).map(matching::told),
        evidence: last
            .and_then(Incident::root_cause)
            .map_or_else(Vec::new, |root| root.evidence.clone()),
        rules: last.map(rules).unwrap_or_default(),
        incidents: histories.iter().filter(|history| is_counted(history)).count(),
        chain: truth.map_or((0, 0), |truth| {
            (last.map_or(0, |last| chain_found(truth, last)), truth.chain.len())
        }),
        affected: truth.map_or((0, 0), |truth| {
            let told = |name: &&String| last.is_some_and(|last| last.impact.workloads.contains(name));
            (truth.affected.iter().filter(told).count(), truth.affected.len())
        }),
        blamed: roots()
            .filter(|root| root.entity.workload.is_some())
            .map(|root| root.label.clone())
            .filter(|name| blameless.contains(name))
            .collect(),
        victims: Vec::new(),
        edges: Edges::default(),
        place: truth
            .zip(last)
            .and_then(|(truth, last)| standing::place_of_root(truth, last, played.at_ns)),
        advice: truth.and_then(|truth| advice_is_right(truth, last)),
        confidence: last.map(|last| last.confidence),
        completeness: last.map(|last| last.completeness.score),
        narratives: histories
            .iter()
            .filter_map(|history| history.last())
            .map(|revision| matching::sentence(&revision.incident))
            .collect(),
    }
}

fn rules(incident: &Incident) -> BTreeSet<String> {
    let causes = incident.steps.iter().flat_map(|step| &step.caused_by);
    causes.map(|cause| cause.rule.clone()).collect()
}

/// What each incident says in the end, without those merged into others.
fn in_the_end<'a>(histories: &Histories<'a>) -> Vec<&'a Incident> {
    let counted = histories.iter().filter(|history| is_counted(history));
    counted
        .filter_map(|history| Some(&history.last()?.incident))
        .collect()
}

/// The incident that tells a fault best. More than one costs in the count of incidents.
fn main_of<'a, 'b>(
    truth: &Truth,
    played: &Played,
    histories: &'b Histories<'a>,
) -> Option<&'b Vec<&'a Revision>> {
    let counted = histories.iter().filter(|history| is_counted(history));
    counted.max_by_key(|history| {
        let last = history.last().map(|revision| &revision.incident);
        let told = last.map_or(Verdict::Untold, |last| verdict(truth, last, played.at_ns));
        let opened = history.first().map_or(0, |revision| revision.arrived_ns);
        (
            told,
            last.map_or(0, |last| chain_found(truth, last)),
            std::cmp::Reverse(opened),
        )
    })
}

fn is_counted(history: &[&Revision]) -> bool {
    history
        .last()
        .is_some_and(|revision| revision.incident.state != State::Merged)
}

/// The first revision from which on the root was right.
fn right_after(truth: &Truth, played: &Played, history: &[&Revision]) -> Option<f64> {
    let is_right = |revision: &&&Revision| verdict(truth, &revision.incident, played.at_ns) == Verdict::Right;
    let first = history.iter().rev().take_while(is_right).last()?;
    Some(seconds_between(played.at_ns, first.arrived_ns))
}

/// When the users noticed; what they do not notice has its patience, and no first symptom.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of this century"
)]
fn symptom_ns(played: &Played) -> Option<u64> {
    played.effect.first_at.map(|seconds| (seconds * 1e9) as u64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of seconds, to the millisecond"
)]
fn seconds_between(from_ns: u64, until_ns: u64) -> f64 {
    (i128::from(until_ns) - i128::from(from_ns)) as f64 / 1e9
}
