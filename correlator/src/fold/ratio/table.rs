//! The ratios of a catalogue, those with one total together.

use std::collections::BTreeMap;

use bus_schema::event::counters::Counter;
use bus_schema::event::network::Role;
use bus_schema::{Kind, Severity};

use crate::condition::row::{Fold, Traits};
use crate::condition::{Catalogue, Condition};

/// The ways in which one kind of traffic fails: rows with one total.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) total: Counter,
    /// All peers are judged together.
    pub(super) alone: bool,
    pub(super) failing: Vec<Way>,
}

/// A row, and what it counts.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) condition: Condition,
    pub(super) failed: Counter,
    pub(super) traits: Traits,
    pub(super) severity: Severity,
    pub(super) severity_of_most: Severity,
}

/// The ratios of a catalogue, those with one total together.
#[derive(Debug, Clone, Default)]
pub(in crate::fold) struct Table(pub(super) Vec<Ways>);

impl Table {
    pub(in crate::fold) fn of(catalogue: &Catalogue) -> Self {
        let mut table: BTreeMap<_, Ways> = BTreeMap::new();
        for (condition, row) in catalogue.rows() {
            let Fold::Ratio(fold) = &row.fold else { continue };
            let (Ok(total), Ok(failed)) = (fold.kind.counter(&fold.total), fold.kind.counter(&fold.failed))
            else {
                continue;
            };
            let kind = fold.kind.0;
            let key = (kind, fold.role == Role::Server, fold.total.clone(), fold.alone);
            let ways = table.entry(key).or_insert_with(|| Ways {
                kind,
                role: fold.role,
                total,
                alone: fold.alone,
                failing: Vec::new(),
            });
            ways.failing.push(Way {
                condition,
                failed,
                traits: row.traits(),
                severity: row.severity,
                severity_of_most: fold.severity_of_most.unwrap_or(row.severity),
            });
        }
        Self(table.into_values().collect())
    }

    /// Whether statistics of this kind and end are counted.
    pub(in crate::fold) fn counts(&self, kind: Kind, role: Role) -> bool {
        self.0.iter().any(|row| row.kind == kind && row.role == role)
    }
}
