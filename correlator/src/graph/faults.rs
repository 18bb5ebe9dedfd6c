//! What is at fault. Most changes harm nobody, and what nobody saw may have been something or nothing: each of these is a
//! suspect, which is at fault or not, with a prior that is paid once however much it explains. So one cause of ten symptoms beats
//! ten coincidences, a change that explains a part is explained away by one that explains all, and faults that share no symptom
//! stay apart.
//!
//! Suspects that share an effect have to be judged together. Groups of up to [`MOST_TOGETHER`] are solved exactly; of a larger one
//! each effect by itself with its own suspects and what these share with others, all further suspects at their prior (few faults
//! at once, as in Bahl et al., SIGCOMM 2007). Either way the result is a function of the group, however it came about.

mod solve;

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::EventId;
use bus_schema::episode::Episode;

use super::links::Link;
use crate::condition::row::AT_FAULT;
use solve::{Charge, Effect, Shares};

/// What nobody saw may not have happened at all: that something of a sort happens at one place within the lag of its effects, where
/// a workload changes a few times an hour.
pub(super) const HAPPENS: f64 = 0.1;
/// A fault shows in one way; that it shows in another besides, which does not follow from the first, is less likely by this.
const OTHER_WAY: f64 = 0.3;
/// Suspects that are solved exactly.
const MOST_TOGETHER: usize = 8;
/// Effects that an effect of a larger group is judged with.
const MOST_BESIDE: usize = 32;

/// Somebody who may be at fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    /// What was done to the subject of this key at this time (UNIX ns): one edit may change several things.
    Seen(String, u64),
    /// Something that nobody saw at the place of this key.
    Unseen(String),
}

impl Suspect {
    /// By an episode that tells of it.
    pub(super) fn who_did(episode: &Episode) -> Self {
        Self::Seen(episode.subject.key(), episode.start_ns)
    }
}

/// Everything that may have brought an effect about.
#[derive(Debug, Clone, Default)]
pub(super) struct Charges {
    /// Who may be at fault.
    pub(super) suspects: Vec<Charged>,
    /// Causes that are known to have been at work.
    pub(super) known: Vec<(EventId, Strength)>,
    /// Weight of "by itself".
    pub(super) leak: f64,
    /// Same for effects that say the same of the same.
    pub(super) says: (String, String, String),
}

/// One suspect of an effect.
#[derive(Debug, Clone)]
pub(super) struct Charged {
    pub(super) suspect: Suspect,
    pub(super) strength: Strength,
    /// Prior of being at fault.
    pub(super) prior: f64,
    /// By which mechanism: of what nobody saw, its place.
    pub(super) way: String,
    /// Episodes that tell of it, with the weight of their links: an edit of several things has several.
    pub(super) aspects: Vec<(EventId, f64)>,
}

/// How strongly a cause drives an effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strength {
    /// Probability that it brings the effect about.
    pub(super) weight: f64,
    /// How much likelier than on the whole it would do so at the time when the effect began.
    pub(super) timeliness: f64,
}

impl Strength {
    /// Of the cause of a link.
    pub(super) fn of(link: &Link) -> Self {
        Self {
            weight: link.weight,
            timeliness: link.timeliness,
        }
    }
}

/// What an effect is put down to, with probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    suspects: BTreeMap<Suspect, f64>,
    known: BTreeMap<EventId, f64>,
    /// Nothing of it all.
    pub(super) leak: f64,
}

impl Verdict {
    /// Probability that this suspect brought it about.
    pub(super) fn of(&self, suspect: &Suspect) -> f64 {
        self.suspects.get(suspect).copied().unwrap_or(0.0)
    }

    /// Probability that this episode brought it about, which is no suspect.
    pub(super) fn of_known(&self, cause: EventId) -> f64 {
        self.known.get(&cause).copied().unwrap_or(0.0)
    }
}

/// Who is charged with what, and what has to be judged again.
#[derive(Debug, Default)]
pub(super) struct Faults {
    charges: BTreeMap<EventId, Charges>,
    effects: BTreeMap<Suspect, BTreeSet<EventId>>,
    unjudged: BTreeSet<EventId>,
    /// Suspects of which other effects are known than before.
    recharged: BTreeSet<Suspect>,
}

impl Faults {
    /// Charges an effect anew.
    pub(super) fn charge(&mut self, effect: EventId, charges: Charges) {
        self.drop(effect);
        for charged in &charges.suspects {
            self.effects
                .entry(charged.suspect.clone())
                .or_default()
                .insert(effect);
        }
        self.charges.insert(effect, charges);
        self.unjudged.insert(effect);
    }

    /// The effect is forgotten; those that share a suspect with it have to be judged again.
    pub(super) fn drop(&mut self, effect: EventId) {
        self.unjudged.remove(&effect);
        for Charged { suspect, .. } in self.charges.remove(&effect).unwrap_or_default().suspects {
            let Some(effects) = self.effects.get_mut(&suspect) else {
                continue;
            };
            effects.remove(&effect);
            self.unjudged.extend(effects.iter().copied());
            if effects.is_empty() {
                self.effects.remove(&suspect);
            }
            self.recharged.insert(suspect);
        }
    }

    /// Suspects of which other effects are known than when this was last asked, each with the episodes that tell of it, the one
    /// first that explains most.
    pub(super) fn take_recharged(&mut self) -> Vec<(Suspect, Vec<EventId>)> {
        let recharged = std::mem::take(&mut self.recharged);
        let with_aspects = recharged.into_iter().map(|suspect| {
            let aspects = self.aspects_of(&suspect);
            (suspect, aspects)
        });
        with_aspects.collect()
    }

    fn aspects_of(&self, suspect: &Suspect) -> Vec<EventId> {
        let effects = self.effects.get(suspect).into_iter().flatten();
        let charges = effects.filter_map(|effect| self.charges.get(effect));
        let suspects = charges.flat_map(|charges| &charges.suspects);
        let mut weights: BTreeMap<EventId, f64> = BTreeMap::new();
        for charged in suspects.filter(|charged| charged.suspect == *suspect) {
            for (aspect, weight) in &charged.aspects {
                *weights.entry(*aspect).or_default() += weight;
            }
        }
        let mut aspects: Vec<_> = weights.into_iter().collect();
        aspects.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        aspects.into_iter().map(|(aspect, _)| aspect).collect()
    }

    /// The next effects that have to be judged, which hang together.
    pub(super) fn next_group(&mut self) -> Option<Vec<EventId>> {
        let first = self.unjudged.first().copied()?;
        let group = self.group(first);
        for effect in &group {
            self.unjudged.remove(effect);
        }
        Some(group.into_iter().collect())
    }

    fn group(&self, first: EventId) -> BTreeSet<EventId> {
        let mut group = BTreeSet::from([first]);
        let (mut passed, mut next) = (BTreeSet::new(), vec![first]);
        while let Some(effect) = next.pop() {
            for suspect in self.suspects_of(effect).filter(|suspect| passed.insert(*suspect)) {
                let effects = self.effects.get(suspect).into_iter().flatten();
                next.extend(effects.filter(|effect| group.insert(**effect)));
            }
        }
        group
    }

    fn suspects_of(&self, effect: EventId) -> impl Iterator<Item = &Suspect> {
        let charges = self.charges.get(&effect).into_iter();
        charges.flat_map(|charges| charges.suspects.iter().map(|charged| &charged.suspect))
    }

    /// What each effect of a group is put down to.
    pub(super) fn judge(&self, group: &[EventId]) -> Vec<(EventId, Verdict)> {
        let suspects: BTreeSet<_> = group
            .iter()
            .flat_map(|effect| self.suspects_of(*effect))
            .collect();
        if suspects.len() <= MOST_TOGETHER {
            return self.judge_together(group, &suspects);
        }
        let each = group.iter().filter_map(|effect| {
            let (own, beside) = self.neighbourhood(*effect);
            self.judge_together(&beside, &own)
                .into_iter()
                .find(|(judged, _)| judged == effect)
        });
        each.collect()
    }

    /// An effect's likeliest suspects, and what these may have brought about besides, itself first.
    fn neighbourhood(&self, effect: EventId) -> (BTreeSet<&Suspect>, Vec<EventId>) {
        let charges = self.charges.get(&effect).into_iter();
        let mut own: Vec<_> = charges.flat_map(|charges| &charges.suspects).collect();
        own.sort_by(|one, other| {
            let chance = |charged: &Charged| charged.strength.weight * charged.prior;
            chance(other)
                .total_cmp(&chance(one))
                .then_with(|| one.suspect.cmp(&other.suspect))
        });
        own.truncate(MOST_TOGETHER);
        let mut beside = vec![effect];
        for charged in &own {
            let effects = self.effects.get(&charged.suspect).into_iter().flatten();
            for effect in effects {
                if beside.len() < MOST_BESIDE && !beside.contains(effect) {
                    beside.push(*effect);
                }
            }
        }
        (own.into_iter().map(|charged| &charged.suspect).collect(), beside)
    }

    fn judge_together(&self, effects: &[EventId], suspects: &BTreeSet<&Suspect>) -> Vec<(EventId, Verdict)> {
        let charged: Vec<_> = effects
            .iter()
            .filter_map(|effect| Some((*effect, self.charges.get(effect)?)))
            .collect();
        let numbers: BTreeMap<_, _> = suspects.iter().copied().zip(0..).collect();
        let mut prices = vec![0.0_f64; suspects.len()];
        for (_, charges) in &charged {
            for charged in &charges.suspects {
                let number = numbers.get(&charged.suspect);
                if let Some(price) = number.and_then(|number: &usize| prices.get_mut(*number)) {
                    *price = price.max(charged.prior);
                }
            }
        }
        // What says the same of the same, with the same suspects, says nothing new.
        let mut said = BTreeSet::new();
        let ways = first_ways(&charged);
        let mut part = |(_, charges): &(EventId, &Charges)| {
            let suspects: BTreeSet<_> = charges
                .suspects
                .iter()
                .map(|charged| charged.suspect.clone())
                .collect();
            let is_news = said.insert((charges.says.clone(), suspects));
            charges.as_effect(&numbers, &ways, is_news)
        };
        let parts: Vec<_> = charged.iter().map(&mut part).collect();
        let shares = solve::solve(&prices, &parts);
        let judged = charged.into_iter().zip(shares);
        judged
            .map(|((effect, charges), shares)| (effect, charges.verdict(&numbers, &shares)))
            .collect()
    }
}

impl Charges {
    /// Charges what was done, of which this episode tells; the strongest link of an edit counts.
    pub(super) fn suspect(&mut self, suspect: Suspect, prior: f64, link: &Link) {
        let strength = Strength::of(link);
        let aspect = (link.cause, link.weight);
        let known = self
            .suspects
            .iter_mut()
            .find(|charged| charged.suspect == suspect);
        let Some(known) = known else {
            self.suspects.push(Charged {
                suspect,
                strength,
                prior,
                way: link.rule.id.clone(),
                aspects: vec![aspect],
            });
            return;
        };
        known.aspects.push(aspect);
        known.prior = known.prior.max(prior);
        if strength.weight > known.strength.weight {
            known.strength = strength;
            known.way.clone_from(&link.rule.id);
        }
    }

    /// A suspect that is not among those judged is at work as often as its prior says.
    fn as_effect(
        &self,
        numbers: &BTreeMap<&Suspect, usize>,
        ways: &BTreeMap<&Suspect, &str>,
        is_news: bool,
    ) -> Effect {
        let unit = self.usual_timeliness();
        let rate = |strength: &Strength| strength.weight * strength.timeliness / unit;
        let mut effect = Effect {
            rate: self.known.iter().map(|(_, strength)| rate(strength)).sum(),
            none: self
                .known
                .iter()
                .map(|(_, strength)| 1.0 - strength.weight)
                .product(),
            // what needs no cause is as rare as what is at fault, times its own weight
            leak: AT_FAULT * self.leak,
            suspects: Vec::new(),
            is_news,
        };
        for Charged {
            suspect,
            strength,
            prior,
            way,
            ..
        } in &self.suspects
        {
            let is_first_way = ways.get(suspect).is_none_or(|first| first == way);
            let usual = if is_first_way { 1.0 } else { OTHER_WAY };
            if let Some(number) = numbers.get(suspect) {
                effect.suspects.push(Charge {
                    number: *number,
                    weight: usual * strength.weight,
                    rate: usual * rate(strength),
                });
            } else {
                effect.rate += rate(strength) * prior;
                effect.none *= 1.0 - strength.weight * prior;
            }
        }
        effect
    }

    /// What comes without a cause may come at any time; of causes that are all overdue it gains nothing, of one that is overdue
    /// beside one that is not it does. So the unit of its rate is what is usual among the causes.
    pub(super) fn usual_timeliness(&self) -> f64 {
        let suspects = self.suspects.iter().map(|charged| &charged.strength);
        let known = self.known.iter().map(|(_, strength)| strength);
        let (mut rates, mut weights) = (0.0, 0.0);
        for strength in suspects.chain(known) {
            rates += strength.weight * strength.timeliness;
            weights += strength.weight;
        }
        if rates > 0.0 { rates / weights } else { 1.0 }
    }

    fn verdict(&self, numbers: &BTreeMap<&Suspect, usize>, shares: &Shares) -> Verdict {
        let unit = self.usual_timeliness();
        let of_rate = |strength: &Strength| strength.weight * strength.timeliness / unit * shares.unit;
        let mut judged = shares.suspects.iter().copied();
        let mut verdict = Verdict {
            leak: shares.leak,
            ..Verdict::default()
        };
        for Charged {
            suspect,
            strength,
            prior,
            ..
        } in &self.suspects
        {
            let share = if numbers.contains_key(suspect) {
                judged.next().unwrap_or(0.0)
            } else {
                prior * of_rate(strength)
            };
            verdict.suspects.insert(suspect.clone(), share);
        }
        for (cause, strength) in &self.known {
            verdict.known.insert(*cause, of_rate(strength));
        }
        verdict
    }
}

/// The mechanism by which each suspect would have shown first. Ids begin with the time.
fn first_ways<'a>(charged: &[(EventId, &'a Charges)]) -> BTreeMap<&'a Suspect, &'a str> {
    let mut first: BTreeMap<_, (EventId, &str)> = BTreeMap::new();
    for (effect, charges) in charged {
        for Charged { suspect, way, .. } in &charges.suspects {
            let known = first.entry(suspect).or_insert((*effect, way));
            if *effect < known.0 {
                *known = (*effect, way);
            }
        }
    }
    first
        .into_iter()
        .map(|(suspect, (_, way))| (suspect, way))
        .collect()
}
