//! The rows of a catalogue by which storms are told, and what they count.

use bus_schema::event::counters::Counter;
use bus_schema::{Kind, Severity};

use crate::condition::Traits;
use crate::condition::row::{self, Fold};
use crate::condition::{Catalogue, Condition};

/// Statistics of attempts that are compared, at most.
pub(super) const MOST_COUNTS: usize = 4;

/// The row of a catalogue by which storms are told, and what it counts.
#[derive(Debug, Clone)]
pub(in crate::fold) struct Table {
    pub(super) condition: Condition,
    pub(super) traits: Traits,
    pub(super) severity: Severity,
    pub(super) attempts: Vec<Attempts>,
    pub(super) requests: (Kind, Counter),
}

#[derive(Debug, Clone)]
pub(super) struct Attempts {
    pub(super) kind: Kind,
    pub(super) total: Counter,
    pub(super) failed: Vec<Counter>,
    pub(super) waited: Option<Counter>,
}

impl Table {
    /// All rows of this shape.
    pub(in crate::fold) fn all(catalogue: &Catalogue) -> Vec<Self> {
        let rows = catalogue.rows().filter_map(|(condition, row)| {
            let Fold::Amplification(fold) = &row.fold else {
                return None;
            };
            let attempts = fold.attempts.iter().take(MOST_COUNTS).filter_map(Attempts::of);
            let requests = &fold.requests;
            Some(Self {
                condition,
                traits: row.traits(),
                severity: row.severity,
                attempts: attempts.collect(),
                requests: (requests.kind.0, requests.kind.counter(&requests.total).ok()?),
            })
        });
        rows.collect()
    }

    /// Whether statistics of this kind count what the subject is asked.
    pub(in crate::fold) fn counts_requests(&self, kind: Kind) -> bool {
        self.requests.0 == kind
    }
}

impl Attempts {
    fn of(row: &row::Attempts) -> Option<Self> {
        let counter = |name: &String| row.kind.counter(name).ok();
        Some(Self {
            kind: row.kind.0,
            total: counter(&row.total)?,
            failed: row.failed.iter().filter_map(counter).collect(),
            waited: row.waited.as_ref().and_then(counter),
        })
    }
}
