//! A condition was seen on an entity: what all shapes hand to the episodes.

use std::collections::BTreeMap;

use bus_schema::episode::Fact;
use bus_schema::event::Event;
use bus_schema::{Entity, EventId, Severity, TraceContext};

use crate::condition::Traits;
use crate::condition::row::End;
use crate::condition::{Condition, Reading, Row};

/// Facts by name.
pub(super) type Facts = BTreeMap<String, Fact>;

/// A condition was seen on an entity.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) condition: Condition,
    pub(super) traits: Traits,
    pub(super) severity: Severity,
    pub(super) subject: Entity,
    pub(super) object: Option<Entity>,
    pub(super) time_ns: u64,
    /// Until when it lasted for certain, UNIX ns: earlier than `time_ns` where only a sum tells of it.
    pub(super) certain_until_ns: u64,
    pub(super) count: u64,
    pub(super) intensity: f64,
    pub(super) baseline: f64,
    pub(super) surprise: f64,
    /// Whether nothing of its kind has worked here yet, where that is known.
    pub(super) is_starting: Option<bool>,
    pub(super) facts: Facts,
    pub(super) evidence: Option<EventId>,
    /// A trace of the users' own in which it can be seen.
    pub(super) exemplar: Option<TraceContext>,
}

/// Fact of what ends a listener: how many other instances of the service go on listening.
pub(crate) const OTHERS_LISTENING: &str = "others_listening";

/// Fact of a call that was given up: how long its caller had waited by then.
pub(crate) const WAITED_SECONDS: &str = "waited_seconds";

impl Sighting {
    /// Notes how many instances are left.
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    pub(super) fn remaining(&mut self, others: usize) {
        let others = Fact::Number(others as f64);
        self.facts.insert(OTHERS_LISTENING.to_owned(), others);
    }

    /// What a single event tells; `None` where it does not say whom it is about.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn of(event: &Event, reading: Reading<'_>, row: &Row) -> Option<Self> {
        let end = |end: End| match end {
            End::Subject => Some(event.subject.clone()),
            End::Object => event.object.clone(),
            End::Nobody => None,
        };
        Some(Self {
            condition: reading.condition,
            traits: row.traits(),
            severity: reading.source.severity.unwrap_or(row.severity),
            subject: end(reading.source.on)?,
            object: end(reading.source.towards),
            time_ns: event.time_ns,
            certain_until_ns: event.time_ns,
            count: event.count,
            intensity: event.count as f64,
            baseline: 0.0,
            surprise: 0.0,
            is_starting: None,
            facts: reading.facts,
            evidence: Some(event.id),
            exemplar: event.body.trace().cloned(),
        })
    }
}
