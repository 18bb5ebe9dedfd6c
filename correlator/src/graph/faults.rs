//! What is at fault. Most changes harm nobody, and what nobody saw may have been something or nothing: each of these is a
//! suspect, which is at fault or not, with a prior that is paid once however much it explains. So one cause of ten symptoms beats
//! ten coincidences, a change that explains a part is explained away by one that explains all, and faults that share no symptom
//! stay apart.
//!
//! Suspects that share an effect have to be judged together. Groups of up to [`MOST_TOGETHER`] are solved exactly; of a larger one
//! each effect by itself with its own suspects and what these share with others, all further suspects at their prior (few faults
//! at once, as in Bahl et al., SIGCOMM 2007). Either way the result is a function of the group, however it came about.

mod charges;
mod solve;

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::EventId;

pub(super) use charges::{Charged, Charges, Strength, Suspect, Verdict};

/// What nobody saw may not have happened at all: that something of a sort happens at one place within the lag of its effects, where
/// a workload changes a few times an hour.
pub(super) const HAPPENS: f64 = 0.1;
/// Suspects that are solved exactly.
const MOST_TOGETHER: usize = 8;
/// Effects that an effect of a larger group is judged with.
const MOST_BESIDE: usize = 32;

/// Who is charged with what, and what has to be judged again.
#[derive(Debug, Default)]
pub(super) struct Faults {
    charges: BTreeMap<EventId, Charges>,
    effects: BTreeMap<Suspect, BTreeSet<EventId>>,
    /// Effects of which something has changed that they are judged by: their own charges, or those of one that shares a suspect.
    unjudged: BTreeSet<EventId>,
    /// Effects that were judged each by itself, as parts of a large group.
    apart: BTreeSet<EventId>,
    /// Suspects of which other effects are known than before.
    recharged: BTreeSet<Suspect>,
}

/// Effects that have to be judged and hang together by their suspects.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) effects: BTreeSet<EventId>,
    /// Whether they have so few suspects that all are judged together.
    is_small: bool,
}

impl Faults {
    /// Whether an effect is charged so already.
    pub(super) fn has_charged(&self, effect: EventId, charges: &Charges) -> bool {
        self.charges.get(&effect) == Some(charges)
    }

    /// Charges an effect anew.
    pub(super) fn charge(&mut self, effect: EventId, charges: Charges) {
        self.drop(effect);
        for Charged { suspect, .. } in &charges.suspects {
            let effects = self.effects.entry(suspect.clone()).or_default();
            effects.insert(effect);
            self.unjudged.extend(effects.iter().copied());
            self.recharged.insert(suspect.clone());
        }
        self.charges.insert(effect, charges);
        self.unjudged.insert(effect);
    }

    /// The effect is forgotten; those that share a suspect with it have to be judged again.
    pub(super) fn drop(&mut self, effect: EventId) {
        self.unjudged.remove(&effect);
        self.apart.remove(&effect);
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
    /// first that explains most, and of equals tells of most.
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
        let suspects = charges
            .flat_map(|charges| &charges.suspects)
            .filter(|charged| charged.suspect == *suspect);
        let mut told: BTreeMap<EventId, (f64, f64)> = BTreeMap::new();
        for aspect in suspects.flat_map(|charged| &charged.aspects) {
            let (weight, parts) = told.entry(aspect.episode).or_default();
            *weight += aspect.weight;
            *parts = aspect.parts;
        }
        let mut aspects: Vec<_> = told.into_iter().collect();
        aspects.sort_by(|(one, told), (other, of_other)| {
            let (by_weight, by_parts) = (of_other.0.total_cmp(&told.0), of_other.1.total_cmp(&told.1));
            by_weight.then(by_parts).then(one.cmp(other))
        });
        aspects.into_iter().map(|(aspect, _)| aspect).collect()
    }

    /// The next effects that have to be judged, which hang together: all of a small group, of a large one those that are not yet
    /// judged so.
    pub(super) fn next_group(&mut self) -> Option<Group> {
        let first = self.unjudged.first().copied()?;
        let mut effects = self.group(first);
        let is_small = self.suspects_of_all(&effects).len() <= MOST_TOGETHER;
        effects.retain(|effect| {
            let has_changed = self.unjudged.remove(effect);
            let was_apart = if is_small {
                self.apart.remove(effect)
            } else {
                !self.apart.insert(*effect)
            };
            is_small || has_changed || !was_apart
        });
        Some(Group { effects, is_small })
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

    fn suspects_of_all(&self, effects: &BTreeSet<EventId>) -> BTreeSet<&Suspect> {
        effects
            .iter()
            .flat_map(|effect| self.suspects_of(*effect))
            .collect()
    }

    /// What each effect of a group is put down to.
    pub(super) fn judge(&self, group: &Group) -> Vec<(EventId, Verdict)> {
        if group.is_small {
            let effects: Vec<_> = group.effects.iter().copied().collect();
            return self.judge_together(&effects, &self.suspects_of_all(&group.effects));
        }
        let each = group.effects.iter().filter_map(|effect| {
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
        let mut parts = Vec::with_capacity(charged.len());
        for &(_, charges) in &charged {
            let suspects: BTreeSet<_> = charges.suspects.iter().map(|charged| &charged.suspect).collect();
            let is_news = said.insert((&charges.says, suspects));
            parts.push(charges.as_effect(&numbers, &ways, is_news));
        }
        let shares = solve::solve(&prices, &parts);
        let judged = charged.into_iter().zip(shares);
        judged
            .map(|((effect, charges), shares)| (effect, charges.verdict(&numbers, &shares)))
            .collect()
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
