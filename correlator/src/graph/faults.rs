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

use solve::{Charge, Effect, Shares};

/// Of all changes, the share that harms somebody: among teams that deliver well one in twenty fails (DORA, *Accelerate State of
/// DevOps*, change failure rate). Everything that needs no cause is as rare as that, times its own weight.
pub(super) const AT_FAULT: f64 = 0.05;
/// Suspects that are solved exactly.
const MOST_TOGETHER: usize = 8;
/// Effects that an effect of a larger group is judged with.
const MOST_BESIDE: usize = 32;

/// Somebody who may be at fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    /// Something that was done.
    Seen(EventId),
    /// Something that this observer did not see at this place.
    Unseen(String, String),
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
}

/// How strongly a cause drives an effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strength {
    /// Probability that it brings the effect about.
    pub(super) weight: f64,
    /// How much likelier than on the whole it would do so at the time when the effect began.
    pub(super) timeliness: f64,
}

/// What an effect is put down to, with probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    to: BTreeMap<Suspect, f64>,
    /// Nothing of it all.
    pub(super) leak: f64,
}

impl Verdict {
    /// Probability that this episode brought it about.
    pub(super) fn of(&self, cause: EventId) -> f64 {
        self.to.get(&Suspect::Seen(cause)).copied().unwrap_or(0.0)
    }

    /// Probability that something brought it about that this observer did not see at this place.
    pub(super) fn of_unseen(&self, observer: &str, place: &str) -> f64 {
        let suspect = Suspect::Unseen(observer.to_owned(), place.to_owned());
        self.to.get(&suspect).copied().unwrap_or(0.0)
    }
}

/// Who is charged with what, and what has to be judged again.
#[derive(Debug, Default)]
pub(super) struct Faults {
    charges: BTreeMap<EventId, Charges>,
    effects: BTreeMap<Suspect, BTreeSet<EventId>>,
    unjudged: BTreeSet<EventId>,
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
        }
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
        let mut said: BTreeMap<_, u32> = BTreeMap::new();
        for (_, charges) in &charged {
            *said.entry(&charges.says).or_default() += 1;
            for charged in &charges.suspects {
                let number = numbers.get(&charged.suspect);
                if let Some(price) = number.and_then(|number: &usize| prices.get_mut(*number)) {
                    *price = price.max(charged.prior);
                }
            }
        }
        let parts: Vec<_> = charged
            .iter()
            .map(|(_, charges)| {
                let times = said.get(&charges.says).copied().unwrap_or(1);
                charges.as_effect(&numbers, f64::from(times))
            })
            .collect();
        let shares = solve::solve(&prices, &parts);
        let judged = charged.into_iter().zip(shares);
        judged
            .map(|((effect, charges), shares)| (effect, charges.verdict(&numbers, &shares)))
            .collect()
    }
}

impl Charges {
    /// A suspect that is not among those judged is at work as often as its prior says.
    fn as_effect(&self, numbers: &BTreeMap<&Suspect, usize>, times: f64) -> Effect {
        let unit = self.usual_timeliness();
        let rate = |strength: &Strength| strength.weight * strength.timeliness / unit;
        let mut effect = Effect {
            rate: self.known.iter().map(|(_, strength)| rate(strength)).sum(),
            none: self
                .known
                .iter()
                .map(|(_, strength)| 1.0 - strength.weight)
                .product(),
            leak: AT_FAULT * self.leak,
            suspects: Vec::new(),
            counts: 1.0 / times,
        };
        for Charged {
            suspect,
            strength,
            prior,
        } in &self.suspects
        {
            if let Some(number) = numbers.get(suspect) {
                effect.suspects.push(Charge {
                    number: *number,
                    weight: strength.weight,
                    rate: rate(strength),
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
        } in &self.suspects
        {
            let share = if numbers.contains_key(suspect) {
                judged.next().unwrap_or(0.0)
            } else {
                prior * of_rate(strength)
            };
            verdict.to.insert(suspect.clone(), share);
        }
        for (cause, strength) in &self.known {
            verdict.to.insert(Suspect::Seen(*cause), of_rate(strength));
        }
        verdict
    }
}
