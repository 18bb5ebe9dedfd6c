//! The ratios and distributions of a catalogue, those with one total together.

use std::collections::BTreeMap;

use bus_schema::event::Body;
use bus_schema::event::counters::{Counter, Distribution};
use bus_schema::event::network::Role;
use bus_schema::{Kind, Severity};

use crate::condition::Traits;
use crate::condition::row::{Fold, KindName, Row, nanoseconds};
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
    pub(super) failed: Failed,
    pub(super) traits: Traits,
    pub(super) severity: Severity,
    pub(super) severity_of_most: Severity,
    /// A healthy second does not end it.
    pub(super) bursts: bool,
    /// What is seen first is taken as normal.
    pub(super) may_be_normal: bool,
}

/// What counts as failed.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    /// What is counted as such.
    Counted(Counter),
    /// Values far above what is normal.
    High(High),
}

/// Values that may be high.
#[derive(Debug, Clone)]
pub(super) struct High {
    pub(super) values: Distribution,
    /// The last bucket of the distribution that is never high; earlier ones are of no interest.
    pub(super) from: usize,
}

/// Buckets of a distribution of 64-bit numbers; a message may claim more.
const BUCKETS: usize = 64;

impl High {
    /// Where a bucket begins, counted from the last that is never high, ns.
    pub(super) fn begins_ns(&self, bucket: usize) -> u64 {
        u32::try_from(self.from + bucket).map_or(u64::MAX, |exponent| 2_u64.saturating_pow(exponent))
    }
}

impl Failed {
    /// What a body counts as failed, and which of its values may be high.
    pub(super) fn of(&self, body: &Body) -> (u64, Vec<u64>) {
        match self {
            Self::Counted(failed) => (failed(body), Vec::new()),
            Self::High(high) => {
                let values = (high.values)(body);
                let values = values.as_ref().map_or(&[][..], |values| &values.0);
                let values = values.get(high.from..values.len().min(BUCKETS));
                (0, values.unwrap_or_default().to_vec())
            }
        }
    }
}

/// The ratios and distributions of a catalogue, those with one total together.
#[derive(Debug, Clone, Default)]
pub(in crate::fold) struct Table(pub(super) Vec<Ways>);

impl Table {
    pub(in crate::fold) fn of(catalogue: &Catalogue) -> Self {
        let mut table: BTreeMap<_, Ways> = BTreeMap::new();
        for (condition, row) in catalogue.rows() {
            let Some(traffic) = Traffic::of(row) else { continue };
            let Ok(total) = traffic.kind.counter(traffic.total) else {
                continue;
            };
            let (kind, is_server) = (traffic.kind.0, traffic.role == Role::Server);
            let key = (kind, is_server, traffic.total.to_owned(), traffic.alone);
            let ways = table.entry(key).or_insert_with(|| Ways {
                kind,
                role: traffic.role,
                total,
                alone: traffic.alone,
                failing: Vec::new(),
            });
            ways.failing.push(Way {
                condition,
                failed: traffic.failed,
                traits: row.traits(),
                severity: row.severity,
                severity_of_most: traffic.severity_of_most.unwrap_or(row.severity),
                bursts: traffic.bursts,
                may_be_normal: traffic.may_be_normal,
            });
        }
        Self(table.into_values().collect())
    }

    /// Whether statistics of this kind and end are counted.
    pub(in crate::fold) fn counts(&self, kind: Kind, role: Role) -> bool {
        self.0.iter().any(|row| row.kind == kind && row.role == role)
    }
}

/// What ratios and distributions have in common.
struct Traffic<'a> {
    kind: KindName,
    role: Role,
    total: &'a str,
    alone: bool,
    failed: Failed,
    severity_of_most: Option<Severity>,
    bursts: bool,
    may_be_normal: bool,
}

impl<'a> Traffic<'a> {
    /// `None` of a row of another shape.
    fn of(row: &'a Row) -> Option<Self> {
        match &row.fold {
            Fold::Ratio(fold) => Some(Self {
                kind: fold.kind,
                role: fold.role,
                total: &fold.total,
                alone: fold.alone,
                failed: Failed::Counted(fold.kind.counter(&fold.failed).ok()?),
                severity_of_most: fold.severity_of_most,
                bursts: fold.bursts,
                may_be_normal: fold.may_be_normal,
            }),
            Fold::Distribution(fold) => {
                let least_ns = nanoseconds(fold.least_seconds);
                let first_above = least_ns.next_power_of_two().ilog2() as usize;
                let high = High {
                    values: fold.kind.distribution(&fold.values).ok()?,
                    from: first_above.saturating_sub(1),
                };
                Some(Self {
                    kind: fold.kind,
                    role: fold.role,
                    total: &fold.total,
                    alone: fold.alone,
                    failed: Failed::High(high),
                    severity_of_most: fold.severity_of_most,
                    bursts: false,
                    may_be_normal: false,
                })
            }
            Fold::Point | Fold::Occurrences(_) | Fold::State(_) | Fold::Level(_) | Fold::Amplification(_) => {
                None
            }
        }
    }
}
