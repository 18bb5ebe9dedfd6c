//! What may have started it, as people are told of it.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::EventId;
use bus_schema::incident::{Candidate, Explained, NOT_OBSERVED};

use super::super::View;
use super::super::calibration;
use super::super::faults::HAPPENS;
use super::super::posterior::{Posterior, Root};
use super::{Told, expected};
use crate::condition::row::AT_FAULT;

/// More than these nobody weighs against each other.
const MOST: usize = 6;
/// What is less probable is none.
const LEAST: f64 = 0.01;
/// Steps by which each is judged.
const MOST_EXPLAINED: usize = 8;

/// What each root explains of what is suffered.
type Found<'a> = BTreeMap<&'a Root, BTreeMap<EventId, f64>>;

/// Roots of what is suffered, likeliest first.
pub(super) fn of(
    view: View<'_>,
    posterior: &Posterior,
    told: &Told,
    suffered: &BTreeSet<EventId>,
) -> Vec<Candidate> {
    let (mut found, mut sums) = (Found::new(), BTreeMap::<&Root, f64>::new());
    for id in suffered {
        let step = told.told_by(*id);
        for (root, probability) in posterior.roots_of(*id) {
            *sums.entry(root).or_default() += probability;
            // of several that are told as one the surest
            let known = found.entry(root).or_default().entry(step).or_default();
            *known = known.max(probability);
        }
    }
    let candidates = found.into_iter().filter_map(|(root, explained)| {
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let probability = sums.get(root)? / suffered.len().max(1) as f64;
        (probability >= LEAST).then(|| candidate(view, root, probability, &explained))?
    });
    let mut candidates: Vec<_> = candidates.collect();
    sort(&mut candidates);
    candidates.truncate(MOST);
    candidates
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|one, other| {
        let chance = |candidate: &Candidate| candidate.probability;
        chance(other)
            .total_cmp(&chance(one))
            .then_with(|| (&one.entity, one.episode).cmp(&(&other.entity, other.episode)))
    });
}

/// The same as people are told of them: the one that is told as the root with its calibrated probability, the others with what that
/// leaves. `held` is the probability of the root before.
pub(super) fn calibrated(
    mut candidates: Vec<Candidate>,
    is_told: impl Fn(&Candidate) -> bool,
    held: f64,
    calibrated: impl Fn(f64) -> f64,
) -> Vec<Candidate> {
    let left = calibration::left(held, calibrated(held));
    for candidate in &mut candidates {
        let is_told = is_told(candidate);
        let of = |probability: f64| {
            if is_told {
                calibrated(probability)
            } else {
                (probability * left).min(1.0)
            }
        };
        candidate.probability = of(candidate.probability);
        for explained in &mut candidate.explains {
            explained.probability = of(explained.probability);
        }
    }
    sort(&mut candidates);
    candidates
}

/// How probable it was that it is at fault before its effects were known; nothing for what is no deed.
fn prior_of(view: View<'_>, id: EventId, explained: &BTreeMap<EventId, f64>) -> Option<f64> {
    let nodes = explained.keys().filter_map(|effect| view.forest.node(*effect));
    let links = nodes.flat_map(|node| &node.links).filter(|link| link.cause == id);
    let priors = links.filter_map(|link| Some(link.suspicion.as_ref()?.prior));
    priors.max_by(f64::total_cmp)
}

fn candidate(
    view: View<'_>,
    root: &Root,
    probability: f64,
    explained: &BTreeMap<EventId, f64>,
) -> Option<Candidate> {
    let mut explains: Vec<_> = explained
        .iter()
        .map(|(step, probability)| Explained {
            step: *step,
            probability: *probability,
        })
        .collect();
    explains.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    explains.truncate(MOST_EXPLAINED);
    Some(match root {
        Root::Seen(id) => {
            let episode = view.world.episodes.get(id)?;
            let catalogue = &view.book.catalogue;
            Candidate {
                episode: Some(*id),
                condition: episode.condition.clone(),
                entity: episode.subject.key(),
                hypothesis: catalogue.render(&catalogue.row_of(episode)?.hypothesis, episode),
                prior: prior_of(view, *id, explained),
                probability,
                explains,
                missing: expected::missing(view, *id),
            }
        }
        Root::Elsewhere => return None,
        Root::Unseen(place, label) => Candidate {
            episode: None,
            condition: NOT_OBSERVED.to_owned(),
            entity: place.clone(),
            hypothesis: format!("something in {label} that nobody saw"),
            prior: Some(AT_FAULT * HAPPENS),
            probability,
            explains,
            missing: Vec::new(),
        },
    })
}
