//! Whether a claim gets a volume.

use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use crate::lifecycle::facts::{Claim, Hint, Hints, Topic};
use crate::lifecycle::finding::{Because, Finding};
use crate::lifecycle::reasons;

/// A volume is made within this time, or its provisioner says why not.
const PROVISIONING_NS: u64 = 60 * SECOND_NS;
/// A volume that is made by hand may come together with its claim.
const SETTLING_NS: u64 = 5 * SECOND_NS;

/// All states of a claim.
pub(in crate::lifecycle) fn of_claim(claim: &Claim, hints: &Hints) -> Vec<Finding> {
    let created_ns = claim.meta.created_ns;
    if claim.is_bound {
        return Vec::new();
    }
    if claim.is_lost {
        let because = Because::of(Reason::NoMatchingVolume).detail("storage_class", claim.class.as_str());
        return vec![Finding::new(State::VolumePending, created_ns, because)];
    }
    let topics = [Topic::NotProvisioned, Topic::NotBound, Topic::AwaitsPod];
    let newest: Option<&Hint> = topics
        .into_iter()
        .filter_map(|topic| hints.of(topic))
        .max_by_key(|hint| hint.last_ns);
    let (because, patience_ns) = match newest {
        // Nothing is wrong: no pod has asked for it.
        Some(hint) if hint.topic == Topic::AwaitsPod => return Vec::new(),
        Some(hint) => (
            reasons::no_volume(hint.topic, &hint.message, &claim.class),
            SETTLING_NS,
        ),
        None => (
            Because::of(Reason::Unknown).detail("storage_class", claim.class.as_str()),
            PROVISIONING_NS,
        ),
    };
    let finding = Finding::new(State::VolumePending, created_ns, because);
    vec![finding.lasting(patience_ns)]
}
