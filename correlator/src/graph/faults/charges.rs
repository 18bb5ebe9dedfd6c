//! What an effect may be put down to: who may be at fault for it, and what is known to have been at work.

use std::collections::BTreeMap;

use bus_schema::EventId;
use bus_schema::episode::Episode;

use super::super::links::{Link, Suspicion};
use super::solve::{Charge, Effect, Shares};
use crate::condition::row::AT_FAULT;

/// A fault shows in one way; that it shows in another besides, which does not follow from the first, is less likely by this.
const OTHER_WAY: f64 = 0.3;

/// Somebody who may be at fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::graph) enum Suspect {
    /// What was done to the subject of this key at this time (UNIX ns): one edit may change several things.
    Seen(String, u64),
    /// Something that nobody saw at the place of this key.
    Unseen(String),
}

impl Suspect {
    /// By an episode that tells of it.
    pub(in crate::graph) fn who_did(episode: &Episode) -> Self {
        Self::Seen(episode.subject.key(), episode.start_ns)
    }
}

/// Everything that may have brought an effect about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::graph) struct Charges {
    /// Who may be at fault.
    pub(in crate::graph) suspects: Vec<Charged>,
    /// Causes that are known to have been at work.
    pub(in crate::graph) known: Vec<(EventId, Strength)>,
    /// Weight of "by itself".
    pub(in crate::graph) leak: f64,
    /// Same for effects that say the same of the same.
    pub(in crate::graph) says: (String, String, String),
}

/// One suspect of an effect.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::graph) struct Charged {
    pub(in crate::graph) suspect: Suspect,
    pub(in crate::graph) strength: Strength,
    /// Prior of being at fault.
    pub(in crate::graph) prior: f64,
    /// By which mechanism: of what nobody saw, its place.
    pub(in crate::graph) way: String,
    /// Episodes that tell of it: an edit of several things has several.
    pub(in crate::graph) aspects: Vec<Aspect>,
}

/// One thing of all that was changed by an edit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::graph) struct Aspect {
    /// The episode that tells of it.
    pub(in crate::graph) episode: EventId,
    /// Weight of its link.
    pub(in crate::graph) weight: f64,
    /// How many single changes it tells of.
    pub(in crate::graph) parts: f64,
}

/// How strongly a cause drives an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::graph) struct Strength {
    /// Probability that it brings the effect about.
    pub(in crate::graph) weight: f64,
    /// How much likelier than on the whole it would do so at the time when the effect began.
    pub(in crate::graph) timeliness: f64,
}

impl Strength {
    /// Of the cause of a link.
    pub(in crate::graph) fn of(link: &Link) -> Self {
        Self {
            weight: link.weight,
            timeliness: link.timeliness,
        }
    }
}

/// What an effect is put down to, with probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::graph) struct Verdict {
    suspects: BTreeMap<Suspect, f64>,
    known: BTreeMap<EventId, f64>,
    /// Nothing of it all.
    pub(in crate::graph) leak: f64,
}

impl Verdict {
    /// Probability that this suspect brought it about.
    pub(in crate::graph) fn of(&self, suspect: &Suspect) -> f64 {
        self.suspects.get(suspect).copied().unwrap_or(0.0)
    }

    /// Probability that this episode brought it about, which is no suspect.
    pub(in crate::graph) fn of_known(&self, cause: EventId) -> f64 {
        self.known.get(&cause).copied().unwrap_or(0.0)
    }
}

impl Charges {
    /// Charges what was done, of which this episode tells; the strongest link of an edit counts.
    pub(in crate::graph) fn suspect(&mut self, suspicion: &Suspicion, link: &Link) {
        let Suspicion {
            suspect,
            prior,
            parts,
        } = suspicion.clone();
        let strength = Strength::of(link);
        let aspect = Aspect {
            episode: link.cause,
            weight: link.weight,
            parts,
        };
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
    pub(super) fn as_effect(
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
    pub(in crate::graph) fn usual_timeliness(&self) -> f64 {
        let suspects = self.suspects.iter().map(|charged| &charged.strength);
        let known = self.known.iter().map(|(_, strength)| strength);
        let (mut rates, mut weights) = (0.0, 0.0);
        for strength in suspects.chain(known) {
            rates += strength.weight * strength.timeliness;
            weights += strength.weight;
        }
        if rates > 0.0 { rates / weights } else { 1.0 }
    }

    pub(super) fn verdict(&self, numbers: &BTreeMap<&Suspect, usize>, shares: &Shares) -> Verdict {
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
