//! What is normal of one kind of traffic between two ends, and the judgement of its seconds by that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::episodes::Episodes;
use super::super::evidence::{Evidence, SURPRISING_BITS, share};
use super::super::seen::Ends;
use super::super::sighting::Sighting;
use super::high::{Baseline, LEARNING_RATE};
use super::table::{Failed, Way, Ways};
use super::{Outcome, SECOND_NS, Tally, sighting};

/// Failures below this share are normal for a service of which nothing is known yet.
const FLOOR: f64 = 0.002;

/// What is normal is first the mean of so many seconds, before it is one that forgets.
const YOUNG_SECONDS: u32 = 60;

/// A change that has lasted this long is what is normal from then on: who could have mended it lives with it, as with a standby
/// that tells its load balancer so all the time. Nobody is called for what takes longer than this to be seen (Google, The Site
/// Reliability Workbook, 2018, chapter 5: of the windows that page, the longest).
pub(super) const PERMANENT_SECONDS: u64 = 6 * 3600;

/// Where most fail normally, one more failure is no news.
const USUAL: f64 = 0.5;

/// What is normal, and what speaks for a change of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Normal {
    /// The normal share of each way to fail, `None` where nothing was learned yet.
    ways: Vec<(Option<f64>, Evidence)>,
    /// Which values are normal, by the place of a way that compares them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<usize, Baseline>,
    /// The second since which a change holds, by the place of its way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changed_since: BTreeMap<usize, u64>,
    /// Last second with traffic.
    pub(super) last: u64,
    /// Seconds with traffic since it was first seen, as far as they matter.
    #[serde(default)]
    known_seconds: u32,
    /// All that happened in them.
    #[serde(default)]
    known_total: u64,
}

impl Normal {
    /// Whether most fail this way normally.
    pub(super) fn is_usual(&self, place: usize) -> bool {
        let way = self.ways.get(place);
        way.is_some_and(|(normal, _)| normal.is_some_and(|normal| normal >= USUAL))
    }

    /// Judges a second, and learns from it where nothing speaks for a change.
    pub(super) fn judge(
        &mut self,
        row: &Ways,
        second: u64,
        ends: &Ends,
        tally: &Tally,
        episodes: &mut Episodes,
    ) {
        let end_ns = (second + 1) * SECOND_NS;
        self.last = second;
        self.known_seconds = (self.known_seconds + 1).min(YOUNG_SECONDS);
        self.known_total = self.known_total.saturating_add(tally.total);
        // Who waits in vain asks less: by seconds, its few requests would soon be normal; by requests alone, what a crowd suffers would.
        let part = (1.0 / f64::from(self.known_seconds)).min(share(tally.total, self.known_total));
        let young = (self.known_seconds < YOUNG_SECONDS).then_some(part);
        self.ways.resize(row.failing.len(), Default::default());
        let nothing = Outcome::default();
        for (place, (way, (normal, evidence))) in row.failing.iter().zip(&mut self.ways).enumerate() {
            let outcome = tally.outcomes.get(place).unwrap_or(&nothing);
            let Compared {
                failed,
                baseline,
                above_ns,
            } = compare(way, outcome, *normal, self.values.get(&place));
            if tally.total == 0 && failed == 0 {
                continue;
            }
            if way.may_be_normal && normal.is_none() {
                *normal = Some(share(failed, tally.total));
                continue;
            }
            let before = *evidence;
            let surprise = evidence.add(failed, tally.total, baseline.max(FLOOR));
            let share = share(failed, tally.total);
            let is_surprising = failed > 0 && surprise >= SURPRISING_BITS;
            if has_lasted(&mut self.changed_since, place, second, evidence, is_surprising) {
                *normal = Some(evidence.share());
                *evidence = Evidence::default();
                self.values.remove(&place);
                episodes.settle(way.condition, ends, end_ns);
                continue;
            }
            // What has never worked may still be starting: there, windows that tell little do not add up.
            if normal.is_none() {
                *evidence = Evidence::default();
            }
            if is_surprising {
                let judged = Outcome {
                    failed,
                    ..outcome.clone()
                };
                let seen = sighting(way, tally, &judged, above_ns, end_ns, baseline, surprise);
                let is_starting = Some(normal.is_none());
                episodes.merge_all(seen.map(|seen| Sighting { is_starting, ..seen }));
            } else if share <= baseline.max(FLOOR) && !way.bursts {
                episodes.heal(way.condition, ends, end_ns);
            }
            // What may be a change is not learned as normal, until it has turned out to be none.
            if let Some(refuted) = evidence.refuted(&before) {
                learn(
                    normal,
                    refuted.share,
                    (1.0 - LEARNING_RATE).powf(f64::from(refuted.windows)),
                );
            }
            // Of what is known for a moment, nobody can tell noise from a change that is no outage.
            let may_be_noise = young.is_some() && normal.is_some() && surprise < SURPRISING_BITS;
            if evidence.is_empty() && (normal.is_some() || share <= FLOOR) || may_be_noise {
                let rate = young.unwrap_or(LEARNING_RATE).max(LEARNING_RATE);
                learn(normal, share, 1.0 - rate);
                if matches!(way.failed, Failed::High(_)) && evidence.is_empty() {
                    let values = self.values.entry(place).or_default();
                    values.learn(&outcome.high, tally.total);
                }
            }
        }
    }
}

/// Whether a change has become permanent. It begins when it is found, and ends when nothing speaks for it any more.
fn has_lasted(
    changed_since: &mut BTreeMap<usize, u64>,
    place: usize,
    second: u64,
    evidence: &Evidence,
    is_surprising: bool,
) -> bool {
    if evidence.is_empty() {
        changed_since.remove(&place);
    }
    if !is_surprising {
        return false;
    }
    let since = *changed_since.entry(place).or_insert(second);
    let has_lasted = second >= since + PERMANENT_SECONDS;
    if has_lasted {
        changed_since.remove(&place);
    }
    has_lasted
}

/// Moves the normal share towards another, and keeps this part of what it was.
fn learn(normal: &mut Option<f64>, share: f64, kept: f64) {
    let baseline = normal.get_or_insert(share);
    *baseline += (1.0 - kept) * (share - *baseline);
}

/// Failures of a second beside what is normal.
struct Compared {
    failed: u64,
    /// Their normal share.
    baseline: f64,
    /// Above what value they failed, ns, where it is by their value.
    above_ns: Option<u64>,
}

fn compare(way: &Way, outcome: &Outcome, normal: Option<f64>, values: Option<&Baseline>) -> Compared {
    let Failed::High(high) = &way.failed else {
        return Compared {
            failed: outcome.failed,
            baseline: normal.unwrap_or(FLOOR),
            above_ns: None,
        };
    };
    let known = values.and_then(|values| Some((values, values.first_high()?)));
    known.map_or(
        Compared {
            failed: 0,
            baseline: FLOOR,
            above_ns: None,
        },
        |(values, first)| Compared {
            failed: outcome.high.iter().skip(first).sum(),
            baseline: values.share_from(first),
            above_ns: Some(high.begins_ns(first)),
        },
    )
}
