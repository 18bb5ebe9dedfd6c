//! Writes a tree of causes down as an incident.

mod advice;
mod candidates;
mod completeness;
mod expected;
mod steps;
mod unobserved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::episode::Episode;
use bus_schema::incident::{Candidate, Impact, Role, State, Step};
use bus_schema::{EventId, Incident, Severity, Timestamp};

use super::View;
use super::calibration::APPLIED;
use super::forest::Tree;
use super::posterior::Posterior;
use super::{narrative, reject};
pub(super) use advice::LEAST_TO_ACT;
pub(super) use steps::Told;

/// The first revision of an incident; the caller knows about earlier ones.
pub(super) fn compose(view: View<'_>, tree: &Tree, cluster: &str, id: EventId) -> Incident {
    let told = Told::of(view, tree);
    let suffered = suffered(view, &told);
    let posterior = Posterior::of(view, suffered.iter().copied());
    let unobserved = unobserved::likelier(view, &posterior, tree, &suffered);
    let mut steps = told.steps(view);
    if let Some(unobserved) = &unobserved {
        unobserved.begin(&mut steps);
    }
    let root = steps.iter().find(|step| step.role == Role::RootCause);
    // An urgent report runs ahead of the watermark.
    let now = steps
        .iter()
        .map(|step| step.last)
        .fold(Timestamp(view.world.now_ns()), Timestamp::max);
    let held = unobserved.as_ref().map_or_else(
        || confidence(&posterior, &suffered, tree.root),
        |unobserved| unobserved.probability,
    );
    let completeness = completeness::of(view, &told);
    let calibrated = |probability| APPLIED.apply_seen(probability, completeness.score);
    let confidence = calibrated(held);
    let is_told = |candidate: &Candidate| match &unobserved {
        Some(unobserved) => unobserved.is(candidate),
        None => candidate.episode == Some(tree.root),
    };
    let candidates = candidates::of(view, &posterior, &told, &suffered);
    let rejected = reject::rejected(view, tree, &told);
    let recommendation = match &unobserved {
        Some(unobserved) => Some(advice::of_unobserved(&unobserved.whereabouts(), &rejected)),
        None => advice::of(view, tree, confidence, &rejected),
    };
    Incident {
        id,
        revision: 1,
        state: State::Open,
        severity: alarms(view, &told)
            .map(|episode| episode.severity)
            .max()
            .unwrap_or_default(),
        cluster: cluster.to_owned(),
        namespace: root.map_or("", |root| root.entity.namespace()).to_owned(),
        workload: root.map_or("", |root| root.label.as_str()).to_owned(),
        first_symptom_at: alarms(view, &told)
            .map(|episode| Timestamp(episode.start_ns))
            .min()
            .unwrap_or_default(),
        opened_at: now,
        updated_at: now,
        confidence,
        candidates: candidates::calibrated(candidates, is_told, held, calibrated),
        impact: impact(&steps),
        completeness,
        recommendation,
        rejected,
        narrative: narrative::sentence(view, &steps, confidence),
        merged_into: None,
        omitted: told.omitted(),
        steps,
    }
}

/// Errors that are told, by themselves or as part of something that is told. What a warning is told of may be an error where
/// it was seen from elsewhere.
fn alarms<'a>(view: View<'a>, told: &'a Told) -> impl Iterator<Item = &'a Arc<Episode>> {
    let episodes = told.members().filter_map(move |id| view.world.episodes.get(&id));
    episodes.filter(|episode| episode.severity >= Severity::Error)
}

/// The same, each as it is told.
fn suffered(view: View<'_>, told: &Told) -> BTreeSet<EventId> {
    let alarms = alarms(view, told);
    alarms.map(|episode| view.forest.told_as(episode.id)).collect()
}

/// Mean probability of the root, uncalibrated, over all that is suffered.
#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn confidence(posterior: &Posterior, suffered: &BTreeSet<EventId>, root: EventId) -> f64 {
    let probabilities = suffered.iter().map(|id| posterior.probability(*id, root));
    probabilities.sum::<f64>() / suffered.len().max(1) as f64
}

/// 100 × (1 − Π (1 − harm)): each workload adds its worst harm to what is still whole.
fn impact(steps: &[Step]) -> Impact {
    let mut worst: BTreeMap<&str, Severity> = BTreeMap::new();
    let mut workloads: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.severity >= Severity::Warning) {
        let known = worst.entry(&step.label).or_default();
        *known = step.severity.max(*known);
        if !workloads.contains(&step.label) {
            workloads.push(step.label.clone());
        }
    }
    let whole: f64 = worst.values().map(|severity| 1.0 - harm(*severity)).product();
    let depth = steps.iter().map(|step| step.depth).max().unwrap_or(0);
    Impact {
        score: (100.0 * (1.0 - whole)).round(),
        workloads,
        depth,
    }
}

/// Share of a workload's use that its users lose.
fn harm(severity: Severity) -> f64 {
    match severity {
        Severity::Info | Severity::Notice => 0.0,
        Severity::Warning => 0.1,
        Severity::Error => 0.3,
        Severity::Critical => 0.6,
    }
}
