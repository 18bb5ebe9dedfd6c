//! What is normal of one kind of traffic between two ends, and the judgement of its seconds by that.

use serde::{Deserialize, Serialize};

use super::super::episodes::Episodes;
use super::super::evidence::{Evidence, SURPRISING_BITS, share};
use super::super::seen::Ends;
use super::super::sighting::Sighting;
use super::high::{self, LEARNING_RATE};
use super::table::{Failed, Way, Ways};
use super::{Outcome, SECOND_NS, Tally, sighting};

/// Failures below this share are normal for a service of which nothing is known yet.
const FLOOR: f64 = 0.002;

/// What is normal, and what speaks for a change of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Normal {
    /// The normal share of each way to fail, `None` where nothing was learned yet.
    ways: Vec<(Option<f64>, Evidence)>,
    /// Of each way, which values are normal.
    #[serde(default)]
    values: Vec<high::Normal>,
    /// Last second with traffic.
    pub(super) last: u64,
}

impl Normal {
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
        self.ways.resize(row.failing.len(), Default::default());
        self.values.resize(row.failing.len(), high::Normal::default());
        let nothing = Outcome::default();
        let ways = row.failing.iter().zip(&mut self.ways).zip(&mut self.values);
        for (place, ((way, (normal, evidence)), values)) in ways.enumerate() {
            let outcome = tally.outcomes.get(place).unwrap_or(&nothing);
            let (failed, baseline, above_ns) = compare(way, outcome, *normal, values);
            if tally.total == 0 && failed == 0 {
                continue;
            }
            let surprise = evidence.add(failed, tally.total, baseline.max(FLOOR));
            let share = share(failed, tally.total);
            // What has never worked may still be starting: there, windows that tell little do not add up.
            if normal.is_none() {
                *evidence = Evidence::default();
            }
            if failed > 0 && surprise >= SURPRISING_BITS {
                let judged = Outcome {
                    failed,
                    ..outcome.clone()
                };
                let seen = sighting(way, tally, &judged, above_ns, end_ns, baseline, surprise);
                let is_starting = Some(normal.is_none());
                episodes.merge_all(seen.map(|seen| Sighting { is_starting, ..seen }));
            } else if share <= baseline.max(FLOOR) {
                episodes.heal(way.condition, ends, end_ns);
            }
            // What may be a change is not learned as normal.
            if evidence.is_empty() && (normal.is_some() || share <= FLOOR) {
                let baseline = normal.get_or_insert(share);
                *baseline += LEARNING_RATE * (share - *baseline);
                values.learn(&outcome.high, tally.total);
            }
        }
    }
}

/// How many failed, what share of them is normal, and above what value they failed, ns, where it is by their value.
fn compare(
    way: &Way,
    outcome: &Outcome,
    normal: Option<f64>,
    values: &high::Normal,
) -> (u64, f64, Option<u64>) {
    let Failed::High(high) = &way.failed else {
        return (outcome.failed, normal.unwrap_or(FLOOR), None);
    };
    let Some(first) = values.first_high() else {
        return (0, 0.0, None);
    };
    let failed = outcome.high.iter().skip(first).sum();
    (failed, values.share_from(first), Some(high.begins_ns(first)))
}
