//! One episode with everything that may have brought it about, and what it is put down to.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::episode::Episode;
use bus_schema::{EventId, Severity};

use super::super::faults::{Charged, Charges, HAPPENS, Strength, Suspect, Verdict};
use super::super::links::{self, Link, Suspicion};
use super::super::unseen;
use crate::condition::Row;
use crate::condition::row::AT_FAULT;

/// An observer that misses less than this is not charged with each thing that it may have missed.
const LEAST_BLINDNESS: f64 = 0.2;

/// One episode with its candidate causes.
#[derive(Debug, Default)]
pub(in crate::graph) struct Node {
    /// What may have caused it, strongest first.
    pub(in crate::graph) links: Vec<Link>,
    /// What nobody saw and may have caused it.
    pub(in crate::graph) missed: Vec<Missed>,
    /// Probability that nothing caused it that an observer tells of.
    pub(in crate::graph) alone: f64,
    /// Key and short name of where its cause is, when no observer tells of it; `None` for what needs no cause.
    pub(in crate::graph) cause_at: Option<(String, String)>,
    /// Key of where something that nobody saw is likeliest to have happened.
    place: Option<String>,
    /// Weight of "needs no cause".
    spontaneous: f64,
    /// What nobody suffers from is no fault: a rollout stops containers whether it does harm or not.
    is_suffered: bool,
    /// The most probable cause, where one is more probable than none.
    pub(super) parent: Option<EventId>,
    /// What is told of the edit that this is a part of.
    pub(super) part_of: Option<Link>,
    /// What was brought about before it by the same thing that nobody saw.
    pub(super) beside: Option<Link>,
    /// Where that is, by its key.
    pub(super) unseen_at: Option<String>,
    /// UNIX ns.
    pub(super) began_ns: u64,
}

/// Something that an observer may have missed.
#[derive(Debug)]
pub(in crate::graph) struct Missed {
    /// Who would have told of it.
    pub(in crate::graph) observer: String,
    /// Key and short name of whom it would have happened to.
    pub(in crate::graph) place: String,
    pub(in crate::graph) label: String,
    /// Probability that the effect was brought about by it.
    pub(in crate::graph) share: f64,
    /// Largest prior of a rule that would explain the effect by it.
    weight: f64,
    /// Probability that it was missed.
    blindness: f64,
}

impl Node {
    /// Of an episode, as it was linked; it is yet to be judged.
    pub(in crate::graph) fn new(
        episode: &Episode,
        row: Option<&Row>,
        links: Vec<Link>,
        missed: BTreeMap<(String, String), unseen::Missed>,
    ) -> Self {
        let missed: Vec<_> = missed.into_iter().map(Missed::from).collect();
        let blind = missed.iter().filter(|missed| missed.blindness >= LEAST_BLINDNESS);
        let likeliest = blind.max_by(|one, other| one.chance().total_cmp(&other.chance()));
        Self {
            place: likeliest.map(|missed| missed.place.clone()),
            missed,
            spontaneous: row.map_or(1.0, |row| row.spontaneous),
            is_suffered: row.is_some_and(|row| row.severity >= Severity::Warning),
            began_ns: links::began_ns(episode),
            links,
            ..Self::default()
        }
    }

    /// As something that never comes by itself, if so.
    pub(in crate::graph) fn caused_by_someone(self, symptom: Option<&Arc<Episode>>) -> Self {
        Self {
            cause_at: symptom.map(|episode| cause_at(episode)),
            ..self
        }
    }

    /// Whether it was linked as the other one: then it is judged as that was.
    pub(super) fn is_linked_as(&self, other: &Self) -> bool {
        let same_links = self.links.len() == other.links.len()
            && self
                .links
                .iter()
                .zip(&other.links)
                .all(|(one, other)| one.weighs_as(other));
        let same_missed = self.missed.len() == other.missed.len()
            && self
                .missed
                .iter()
                .zip(&other.missed)
                .all(|(one, other)| one.weighs_as(other));
        same_links
            && same_missed
            && self.cause_at == other.cause_at
            && (self.spontaneous, self.is_suffered) == (other.spontaneous, other.is_suffered)
            && self.began_ns == other.began_ns
    }

    /// With the cause that its former self had.
    pub(in crate::graph) fn instead_of(self, former: Option<Self>) -> Self {
        let Some(former) = former else { return self };
        Self {
            parent: former.parent,
            part_of: former.part_of,
            beside: former.beside,
            ..self
        }
    }

    /// What it adds to the leak, where it is no suspect: too little, or elsewhere than most.
    fn in_leak(&self, missed: &Missed) -> f64 {
        if self
            .place
            .as_deref()
            .is_some_and(|place| missed.is_suspect_at(place))
        {
            0.0
        } else {
            HAPPENS * missed.chance()
        }
    }

    /// Everything that may have brought it about: what was done, and what a blind observer missed, is a suspect; what was
    /// suffered was at work.
    pub(in crate::graph) fn charges(&self, episode: &Episode) -> Charges {
        let mut charges = Charges {
            leak: self.spontaneous + self.missed.iter().map(|missed| self.in_leak(missed)).sum::<f64>(),
            says: says(episode),
            ..Charges::default()
        };
        for link in &self.links {
            match &link.suspicion {
                Some(suspicion) if self.is_suffered => charges.suspect(suspicion, link),
                Some(_) | None => charges.known.push((link.cause, Strength::of(link))),
            }
        }
        if let Some(place) = &self.place {
            let here = self.missed.iter().filter(|missed| missed.is_suspect_at(place));
            let (mut weight, mut seen) = (0.0_f64, 1.0);
            for missed in here {
                weight = weight.max(missed.weight);
                seen *= 1.0 - missed.blindness;
            }
            charges.suspects.push(Charged {
                suspect: Suspect::Unseen(place.clone()),
                strength: Strength {
                    weight,
                    // What nobody saw was no more and no less timely than the others.
                    timeliness: charges.usual_timeliness(),
                },
                prior: AT_FAULT * HAPPENS * (1.0 - seen),
                way: place.clone(),
                aspects: Vec::new(),
            });
        }
        charges
    }

    /// Takes note of what it is put down to; says whether that is something else than before.
    pub(super) fn take(&mut self, verdict: &Verdict) -> bool {
        let before = self.shares();
        for number in 0..self.links.len() {
            let share = self.share(number, verdict);
            if let Some(link) = self.links.get_mut(number) {
                link.share = share;
            }
        }
        let parts: Vec<f64> = self.missed.iter().map(|missed| self.in_leak(missed)).collect();
        let leak = self.spontaneous + parts.iter().sum::<f64>();
        let here = self.place.as_deref().unwrap_or_default();
        let of_place = verdict.of(&Suspect::Unseen(here.to_owned()));
        let suspected = self.missed.iter().filter(|missed| missed.is_suspect_at(here));
        let suspected: f64 = suspected.map(Missed::chance).sum();
        for (missed, part) in self.missed.iter_mut().zip(parts) {
            missed.share = if missed.is_suspect_at(here) {
                of_place * missed.chance() / suspected
            } else {
                verdict.leak * part / leak
            };
        }
        self.alone = verdict.leak * self.spontaneous / leak;
        self.shares() != before
    }

    /// What a link has of the verdict. Of several links to one edit the strongest stands for all.
    fn share(&self, number: usize, verdict: &Verdict) -> f64 {
        let Some(link) = self.links.get(number) else {
            return 0.0;
        };
        let Some(Suspicion { suspect, .. }) = link.suspicion.as_ref().filter(|_| self.is_suffered) else {
            return verdict.of_known(link.cause);
        };
        let is_of_it = |link: &Link| {
            let other = link.suspicion.as_ref();
            other.is_some_and(|other| other.suspect == *suspect)
        };
        if self.links.iter().take(number).any(is_of_it) {
            0.0
        } else {
            verdict.of(suspect)
        }
    }

    fn shares(&self) -> Vec<u64> {
        let links = self.links.iter().map(|link| link.share);
        let missed = self.missed.iter().map(|missed| missed.share);
        let all = links.chain(missed).chain([self.alone]);
        all.map(f64::to_bits).collect()
    }

    /// Probability that it needed no cause.
    pub(super) fn by_itself(&self) -> f64 {
        if self.cause_at.is_some() { 0.0 } else { self.alone }
    }

    /// Key of where something that nobody saw is likeliest to have caused it, with its probability.
    pub(super) fn unseen(&self) -> (Option<&str>, f64) {
        let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
        if let Some((place, _)) = &self.cause_at {
            shares.insert(place, self.alone);
        }
        for missed in &self.missed {
            *shares.entry(&missed.place).or_default() += missed.share;
        }
        let likeliest = shares.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
        likeliest.map_or((None, 0.0), |(place, share)| (Some(place), share))
    }

    /// The link to the most probable cause.
    pub(super) fn parent(&self) -> Option<&Link> {
        let parent = self.parent?;
        let mut links = self.part_of.iter().chain(&self.beside).chain(&self.links);
        links.find(|link| link.cause == parent)
    }

    /// Whether it is told as another part of the same edit.
    pub(in crate::graph) fn is_part(&self) -> bool {
        self.part_of.is_some()
    }

    /// What may have brought it about; of a part of an edit, what stands for the edit.
    pub(in crate::graph) fn causes(&self) -> impl Iterator<Item = &Link> {
        let own = self.links.iter().filter(|_| !self.is_part());
        self.part_of.iter().chain(own)
    }

    /// Whether a cause is more probable than none.
    pub(in crate::graph) fn is_explained(&self) -> bool {
        self.parent().is_some()
    }
}

impl Missed {
    fn weighs_as(&self, other: &Self) -> bool {
        (&self.observer, &self.place, &self.label) == (&other.observer, &other.place, &other.label)
            && (self.weight, self.blindness) == (other.weight, other.blindness)
    }

    /// How likely it is to have happened unseen and to explain the effect.
    fn chance(&self) -> f64 {
        self.weight * self.blindness
    }

    /// Whether it is charged as something that may have happened there.
    fn is_suspect_at(&self, place: &str) -> bool {
        self.blindness >= LEAST_BLINDNESS && self.place == place
    }
}

impl From<((String, String), unseen::Missed)> for Missed {
    fn from(((observer, place), missed): ((String, String), unseen::Missed)) -> Self {
        Self {
            observer,
            place,
            label: missed.label,
            share: 0.0,
            weight: missed.weight,
            blindness: missed.blindness,
        }
    }
}

/// Where the cause of something that is suffered is, as far as it says itself: with whom it was called, or with who tells of it.
fn cause_at(episode: &Episode) -> (String, String) {
    let place = episode.object.as_ref().unwrap_or(&episode.subject);
    (place.key(), place.label())
}

/// Same for episodes that say the same of the same.
fn says(episode: &Episode) -> (String, String, String) {
    let object = episode.object.as_ref().map(bus_schema::Entity::key);
    (
        episode.condition.clone(),
        episode.subject.key(),
        object.unwrap_or_default(),
    )
}
