//! Who made a change, when, and whether it was seen in time.

use bus_schema::event::kubernetes::{Action, Aspect, Difference};
use kube::api::ObjectMeta;

use super::change::{Change, What};
use super::index::Scaler;
use super::state::State;
use super::writer::{self, CONTROLLERS, Part, Written, nanoseconds};

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// What is told later than this after it was written was not seen when it happened: far more than a busy API server takes and
/// clocks of one cluster differ.
const LATE_NS: u64 = 5 * SECOND_NS;
/// The same after an interruption. The API server tells the second alone.
const LATE_AFTER_INTERRUPTION_NS: u64 = 2 * SECOND_NS;
/// Who scales in the name of an autoscaler.
pub(super) const AUTOSCALING: &str = "horizontal-pod-autoscaler";

/// Who made a change, and when, where the managed fields say so.
pub(super) fn written(
    what: &What,
    before: Option<&State>,
    meta: &ObjectMeta,
    observed_ns: u64,
) -> Option<Written> {
    let before = before.map_or(&[] as &[u64], |before| &before.signed);
    let last = |part| writer::last(meta, part, before);
    let (last, is_new) = match what {
        What::Image { container, .. } => last(Part::Image(container)),
        What::Spec {
            action: Action::Created,
            ..
        } => {
            let manager = last(Part::Anything).map(|(written, _)| written.manager);
            return Some(Written {
                manager: manager.unwrap_or_default(),
                time_ns: meta.creation_timestamp.as_ref().map(nanoseconds),
            });
        }
        // a label of the object or an annotation of the template
        What::Spec { differences, .. } if differences.is_empty() => last(Part::Anything),
        What::Spec { differences, .. } if differences.iter().all(is_of_replicas) => {
            return last(Part::Replicas).map(|(written, _)| written);
        }
        What::Spec { .. } => last(Part::Content),
    }?;
    // Who only takes away leaves no trace: who is there then has written something else before.
    let is_recent = last
        .time_ns
        .is_some_and(|time_ns| observed_ns < time_ns.saturating_add(LATE_AFTER_INTERRUPTION_NS));
    (is_new || is_recent).then_some(last)
}

/// Whether what was written then and is observed now had been waiting. What was written before the last failure of a watch that
/// is `interrupted_ns` was not seen when it happened, however short ago that is.
pub(super) fn is_late(written_ns: Option<u64>, observed_ns: u64, interrupted_ns: Option<u64>) -> bool {
    let Some(written_ns) = written_ns else {
        return interrupted_ns.is_some();
    };
    let patience_ns = if interrupted_ns.is_some() {
        LATE_AFTER_INTERRUPTION_NS
    } else {
        LATE_NS
    };
    observed_ns >= written_ns.saturating_add(patience_ns)
        || interrupted_ns.is_some_and(|failed_ns| written_ns < failed_ns)
}

/// An autoscaler's work is told from a person's by the manager, which is that of all controllers; where none is known, by the
/// number that the autoscaler wants.
pub(super) fn sign_for(scaler: Option<&Scaler>, mut change: Change) -> Change {
    let (Some(scaler), What::Spec { differences, .. }) = (scaler, &change.what) else {
        return change;
    };
    let mut replicas = differences.iter().filter(|difference| is_of_replicas(difference));
    let Some(new) = replicas.next().and_then(|difference| difference.new.as_deref()) else {
        return change;
    };
    let is_wanted = || scaler.wanted.is_some_and(|wanted| wanted.to_string() == new);
    if change.manager == CONTROLLERS || (change.manager.is_empty() && is_wanted()) {
        AUTOSCALING.clone_into(&mut change.manager);
        change.scaler = Some(scaler.name.clone());
    }
    change
}

fn is_of_replicas(difference: &Difference) -> bool {
    difference.aspect == Aspect::Replicas
}

/// The API server writes whole seconds. Where the watch told it within that second, it knows better.
pub(super) fn moment(written_ns: u64, observed_ns: u64) -> u64 {
    if (written_ns..written_ns + SECOND_NS).contains(&observed_ns) {
        observed_ns
    } else {
        written_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_within_the_second_that_the_server_wrote() {
        assert_eq!(moment(5 * SECOND_NS, 5 * SECOND_NS + 7), 5 * SECOND_NS + 7);
        assert_eq!(moment(5 * SECOND_NS, 9 * SECOND_NS), 5 * SECOND_NS, "told late");
        assert_eq!(
            moment(5 * SECOND_NS, 4 * SECOND_NS),
            5 * SECOND_NS,
            "a clock that is behind"
        );
    }

    #[test]
    fn what_waited_is_late_and_sooner_so_after_an_interruption() {
        let is_late = |second: u64, failed: Option<u64>| {
            let failed_ns = failed.map(|second| second * SECOND_NS);
            is_late(Some(10 * SECOND_NS), second * SECOND_NS, failed_ns)
        };
        assert!(!is_late(11, Some(9)) && !is_late(14, None));
        assert!(is_late(12, Some(9)) && is_late(15, None));
        assert!(is_late(11, Some(11)), "written before the watch failed again");
    }
}
