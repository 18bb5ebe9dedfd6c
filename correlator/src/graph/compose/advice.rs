//! What to do about a root cause, or, where it is not sure enough, what to look at first.

use bus_schema::incident::{Recommendation, Rejected};

use super::super::View;
use super::super::forest::Tree;

/// Below this probability the root is more likely wrong than right: then nobody is told to change anything.
pub(in crate::graph) const LEAST_TO_ACT: f64 = 0.5;

/// The advice for the root of the tree; a command only for one that is more likely right than wrong.
pub(super) fn of(
    view: View<'_>,
    tree: &Tree,
    confidence: f64,
    rejected: &[Rejected],
) -> Option<Recommendation> {
    let root = view.world.episodes.get(&tree.root)?;
    let advice = view
        .book
        .advice
        .iter()
        .find(|advice| advice.root.token() == root.condition)?;
    let render = |template: &str| view.book.catalogue.render(template, root);
    let precheck = render(&advice.precheck);
    if confidence < LEAST_TO_ACT {
        return Some(Recommendation {
            action: looking(rejected),
            command: String::new(),
            precheck,
            healed_when: String::new(),
        });
    }
    Some(Recommendation {
        action: render(&advice.action),
        command: render(&advice.command),
        precheck,
        healed_when: render(&advice.healed_when),
    })
}

/// What to look at where nobody saw the beginning.
pub(super) fn of_unobserved(whereabouts: &str, rejected: &[Rejected]) -> Recommendation {
    Recommendation {
        action: format!("Look for what happened {whereabouts}. {}", looking(rejected)),
        command: String::new(),
        precheck: String::new(),
        healed_when: String::new(),
    }
}

/// What would tell the root from its likeliest rival.
fn looking(rejected: &[Rejected]) -> String {
    let open = rejected.iter().filter(|rejected| !rejected.excluded);
    let rival = open.max_by(|one, other| one.probability.total_cmp(&other.probability));
    match rival {
        Some(rival) => format!(
            "Change nothing yet: look whether it was {} ({})",
            rival.hypothesis, rival.because
        ),
        None => "Change nothing yet: the cause is not sure".to_owned(),
    }
}
