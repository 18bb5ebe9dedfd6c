//! Every case, recorded and generated, as one rule book explains it.

use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;

use super::families::Families;
use super::recorded::{self, Recorded};
use super::{Options, Scored, generated};

/// What was told of all cases.
#[derive(Debug)]
pub(super) struct Replays {
    pub(super) recorded: Vec<Recorded>,
    pub(super) generated: generated::Told,
}

impl Replays {
    /// Replays the corpus and what is generated.
    pub(super) fn of(options: &Options, book: &Arc<RuleBook>) -> Result<Self> {
        Ok(Self {
            recorded: recorded::all(options, book)?,
            generated: generated::Told::of(book, &options.generated)?,
        })
    }

    /// Every case of the corpus as it was recorded.
    pub(super) fn scored(&self) -> Scored {
        let scored = self.recorded.iter().flat_map(|recorded| &recorded.scored);
        scored.cloned().collect()
    }

    /// Every recording and every family of generated cases, by name.
    pub(super) fn sources(&self) -> Vec<(String, Scored)> {
        let recorded = self.recorded.iter();
        let recorded = recorded.map(|recorded| (recorded.recording.name.clone(), recorded.scored.clone()));
        let generated = self.generated.by_family().into_iter();
        recorded
            .chain(generated.map(|(family, scored)| (family.to_owned(), scored)))
            .collect()
    }

    /// What a claim is worth, and would be by a map that has not seen its family.
    pub(super) fn families(&self) -> Families {
        let mut families = Families::default();
        for recorded in &self.recorded {
            families.add_recorded(&recorded.scored);
        }
        for (family, scored) in self.generated.by_family() {
            families.add_generated(family, &scored);
        }
        families
    }
}
