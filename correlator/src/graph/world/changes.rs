//! What changed in the world since it was last looked at.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bus_schema::episode::Episode;

use crate::fold::{OTHERS_LISTENING, WAITED_SECONDS};
use crate::graph::relations::Arrow;
use crate::rules::RuleBook;

/// Everything that links, trees and incidents are derived from, as far as it is not as it was.
#[derive(Debug, Default)]
pub(in crate::graph) struct Changes {
    /// Episodes that are new, or have a new revision.
    pub(in crate::graph) revised: Vec<Revision>,
    /// Episodes that are remembered no more.
    pub(in crate::graph) forgotten: Vec<Arc<Episode>>,
    /// Relations that were told of for the first time.
    pub(in crate::graph) related: Vec<Arrow>,
    /// Relations that are remembered no more.
    pub(in crate::graph) unrelated: Vec<Arrow>,
    /// Times (UNIX ns) of which an observer saw more or less than was known.
    pub(in crate::graph) coverage: Vec<RangeInclusive<u64>>,
}

/// An episode before and after a report.
#[derive(Debug)]
pub(in crate::graph) struct Revision {
    pub(in crate::graph) before: Option<Arc<Episode>>,
    pub(in crate::graph) now: Arc<Episode>,
}

impl Revision {
    /// Whether anything differs by which links are weighed, besides when it was last seen.
    pub(in crate::graph) fn changes_links(&self, book: &RuleBook) -> bool {
        let Some(before) = &self.before else {
            return true;
        };
        let now = &self.now;
        let is_weighed =
            |fact: &str| book.asks_for(fact) || [OTHERS_LISTENING, WAITED_SECONDS].contains(&fact);
        let differs = |fact: &String| before.facts.get(fact) != now.facts.get(fact);
        before.start_ns != now.start_ns
            || before.over_ns != now.over_ns
            || before.subject != now.subject
            || before.object != now.object
            || now
                .facts
                .keys()
                .chain(before.facts.keys())
                .any(|fact| is_weighed(fact) && differs(fact))
    }

    /// Whether it is told otherwise than before, in more than its counts: it is worse, or a state has ended.
    pub(in crate::graph) fn changes_story(&self, book: &RuleBook) -> bool {
        let catalogue = &book.catalogue;
        self.before.as_ref().is_none_or(|before| {
            let has_ended = catalogue.still_holds(before) && !catalogue.still_holds(&self.now);
            before.severity != self.now.severity || has_ended
        })
    }
}
