//! Trace and span ids that follow from what they stand for, so that exporting twice changes nothing.

use bus_schema::{EventId, Incident};
use opentelemetry::trace::{SpanId, TraceId};

/// Trace of one revision of an incident.
pub fn trace_id(incident: &Incident, revision: u32) -> TraceId {
    let id = EventId::of_parts(
        incident.first_symptom_at.as_ns(),
        &[&incident.id.to_string(), &revision.to_string()],
    );
    TraceId::from_bytes(id.0.to_be_bytes())
}

/// Span of one step in one revision.
pub fn span_id(step: EventId, revision: u32) -> SpanId {
    let id = EventId::of_parts(0, &["span", &step.to_string(), &revision.to_string()]);
    let low = u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or_default();
    SpanId::from_bytes(low.to_be_bytes())
}
