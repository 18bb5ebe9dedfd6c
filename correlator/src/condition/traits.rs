//! What the folding of sightings asks of a condition's row.

use bus_schema::Severity;

use super::row::{Distribution, Fold, Ratio, Row, nanoseconds};

/// What the folding of sightings asks of a row, in the units of events.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of one row")]
pub(crate) struct Traits {
    /// It is done once.
    pub(crate) is_point: bool,
    /// It holds until its end is told.
    pub(crate) is_state: bool,
    /// It hurts only when it lasts: a restart refuses connections for a moment and is no incident.
    pub(crate) must_last: bool,
    /// A process is gone by it.
    pub(crate) ends_process: bool,
    /// See [`super::row::Occurrences::keeps_first_facts`].
    pub(crate) keeps_first_facts: bool,
    /// A quiet gap of this length ends it, ns; `None` where only its end does.
    pub(crate) quiet_ns: Option<u64>,
    /// See [`super::row::State::patience_seconds`], ns.
    pub(crate) patience_ns: Option<u64>,
}

impl Row {
    pub(crate) fn traits(&self) -> Traits {
        let plain = Traits {
            is_point: false,
            is_state: false,
            must_last: false,
            ends_process: false,
            keeps_first_facts: false,
            quiet_ns: None,
            patience_ns: None,
        };
        match &self.fold {
            Fold::Point => Traits {
                is_point: true,
                quiet_ns: Some(0),
                ..plain
            },
            Fold::Occurrences(fold) => Traits {
                ends_process: fold.ends_process,
                keeps_first_facts: fold.keeps_first_facts,
                quiet_ns: Some(nanoseconds(fold.quiet_seconds)),
                ..plain
            },
            Fold::State(fold) => Traits {
                is_state: true,
                patience_ns: fold.patience_seconds.map(nanoseconds),
                ..plain
            },
            Fold::Ratio(Ratio { quiet_seconds, .. })
            | Fold::Distribution(Distribution { quiet_seconds, .. }) => Traits {
                must_last: self.severity >= Severity::Warning,
                quiet_ns: Some(nanoseconds(*quiet_seconds)),
                ..plain
            },
            Fold::Level(fold) => Traits {
                quiet_ns: Some(nanoseconds(fold.quiet_seconds)),
                ..plain
            },
            Fold::Amplification(fold) => Traits {
                quiet_ns: Some(nanoseconds(fold.quiet_seconds)),
                ..plain
            },
        }
    }
}
