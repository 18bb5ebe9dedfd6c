//! An incident revision as spans: parent is cause, further causes and the previous revision are links.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bus_schema::episode::Fact;
use bus_schema::event::status::GrpcStatus;
use bus_schema::incident::{Role, Step};
use bus_schema::{EventId, Incident, Timestamp, TraceContext};
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::ids::{span_id, trace_id};
use crate::resource;

/// Shorter spans cannot be seen in a trace view.
const LEAST_VISIBLE: Duration = Duration::from_millis(5);

/// Spans of one entity, as it was in one container.
#[derive(Debug)]
pub struct ResourceSpans {
    /// The entity.
    pub resource: Resource,
    /// Its steps.
    pub spans: Vec<SpanData>,
}

/// The trace of a revision: spans by entity, in the order in which the entities enter the story.
pub fn trace(incident: &Incident) -> Vec<ResourceSpans> {
    let ends = ends(incident);
    let mut order = Vec::new();
    let mut by_entity: BTreeMap<_, ResourceSpans> = BTreeMap::new();
    for step in &incident.steps {
        let entity = &step.entity;
        let pod = entity.pod.as_ref().map(|pod| &pod.uid);
        let container = entity.container.as_ref().map(|container| &container.id);
        let key = (entity.key(), pod, container);
        let entry = by_entity.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            ResourceSpans {
                resource: resource::of_entity(&step.entity, &incident.cluster),
                spans: Vec::new(),
            }
        });
        entry.spans.push(span(incident, step, &ends));
    }
    order.iter().filter_map(|key| by_entity.remove(key)).collect()
}

/// The instrumentation scope of everything that Tapio exports.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tapio")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Nanoseconds of UNIX time as a system time.
pub fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(time.as_ns())
}

/// When each span ends: a cause is shown until its last effect ends. Trace views that find a child outside of its parent
/// take it for clock skew and move it.
fn ends(incident: &Incident) -> BTreeMap<EventId, SystemTime> {
    let own_end = |step: &Step| system_time(step.last).max(system_time(step.start) + LEAST_VISIBLE);
    let mut ends: BTreeMap<EventId, SystemTime> = incident
        .steps
        .iter()
        .map(|step| (step.id, own_end(step)))
        .collect();
    let mut deepest_first: Vec<&Step> = incident.steps.iter().collect();
    deepest_first.sort_by_key(|step| std::cmp::Reverse(step.depth));
    for step in deepest_first {
        let end = ends.get(&step.id).copied();
        if let (Some(end), Some(parent_end)) = (end, parent(step).and_then(|parent| ends.get_mut(&parent))) {
            *parent_end = end.max(*parent_end);
        }
    }
    ends
}

fn parent(step: &Step) -> Option<EventId> {
    step.caused_by.first().map(|cause| cause.step)
}

fn span(incident: &Incident, step: &Step, ends: &BTreeMap<EventId, SystemTime>) -> SpanData {
    let status = if is_error(step) {
        Status::error(step.text.clone())
    } else {
        Status::Unset
    };
    let start_time = system_time(step.start);
    let mut events = SpanEvents::default();
    events.events = evidence(step);
    let mut links = SpanLinks::default();
    links.links = further_causes(incident, step);
    links.links.extend(step.exemplars.iter().filter_map(exemplar));
    SpanData {
        span_context: context(incident, incident.revision, step.id),
        parent_span_id: parent(step).map_or(SpanId::INVALID, |parent| span_id(parent, incident.revision)),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Owned(step.name.clone()),
        start_time,
        end_time: ends.get(&step.id).copied().unwrap_or(start_time + LEAST_VISIBLE),
        attributes: attributes(incident, step),
        dropped_attributes_count: 0,
        events,
        links,
        status,
        instrumentation_scope: scope(),
    }
}

/// What began it and what people suffer is marked; what lies between would only repeat it.
fn is_error(step: &Step) -> bool {
    matches!(step.role, Role::RootCause | Role::Symptom)
}

fn context(incident: &Incident, revision: u32, step: EventId) -> SpanContext {
    SpanContext::new(
        trace_id(incident, revision),
        span_id(step, revision),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

/// Causes beside the strongest one, and on the root the same step in the revision before.
fn further_causes(incident: &Incident, step: &Step) -> Vec<Link> {
    let further = step.caused_by.iter().skip(1).map(|cause| {
        let reason = vec![KeyValue::new("tapio.incident.rule", cause.rule.clone())];
        Link::new(context(incident, incident.revision, cause.step), reason, 0)
    });
    let is_later_root = step.role == Role::RootCause && incident.revision > 1;
    let previous = is_later_root.then(|| {
        let reason = vec![KeyValue::new("tapio.incident.link", "previous_revision")];
        Link::new(context(incident, incident.revision - 1, step.id), reason, 0)
    });
    further.chain(previous).collect()
}

/// A request of its users in which the step can be seen; `None` where its ids are none.
fn exemplar(trace: &TraceContext) -> Option<Link> {
    let (trace_id, span_id) = (&trace.trace_id, &trace.span_id);
    let context = SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let reason = vec![KeyValue::new("tapio.incident.link", "exemplar")];
    context.is_valid().then(|| Link::new(context, reason, 0))
}

fn evidence(step: &Step) -> Vec<Event> {
    let seen = vec![KeyValue::new(
        "tapio.evidence_ids",
        texts(step.evidence.iter().map(ToString::to_string)),
    )];
    vec![Event::new("evidence", system_time(step.start), seen, 0)]
}

fn attributes(incident: &Incident, step: &Step) -> Vec<KeyValue> {
    let role = match step.role {
        Role::RootCause => "root_cause",
        Role::Intermediate => "intermediate",
        Role::Symptom => "symptom",
    };
    let mut attributes = vec![
        KeyValue::new("tapio.incident.id", incident.id.to_string()),
        KeyValue::new("tapio.incident.revision", i64::from(incident.revision)),
        KeyValue::new("tapio.incident.role", role),
        KeyValue::new("tapio.incident.depth", i64::from(step.depth)),
        KeyValue::new(
            "tapio.incident.evidence_ids",
            texts(step.evidence.iter().map(ToString::to_string)),
        ),
        KeyValue::new("tapio.incident.text", step.text.clone()),
        KeyValue::new("tapio.incident.start", step.start.to_string()),
        KeyValue::new("tapio.incident.last", step.last.to_string()),
        KeyValue::new(
            "tapio.incident.count",
            i64::try_from(step.count).unwrap_or(i64::MAX),
        ),
        KeyValue::new("tapio.incident.condition", step.condition.clone()),
    ];
    if is_error(step) {
        attributes.push(KeyValue::new("error.type", step.condition.clone()));
    }
    if let Some(cause) = step.caused_by.first() {
        attributes.push(KeyValue::new("tapio.incident.rule", cause.rule.clone()));
        attributes.push(KeyValue::new("tapio.incident.mechanism", cause.mechanism.clone()));
    }
    if let Some(address) = step.peer.as_ref().and_then(|peer| peer.address.as_ref()) {
        attributes.push(KeyValue::new("server.address", address.ip.to_string()));
        attributes.push(KeyValue::new("server.port", i64::from(address.port)));
    }
    if let Some(Fact::Text(name)) = step.facts.get("grpc")
        && let Some(status) = GrpcStatus::from_name(name)
    {
        attributes.push(KeyValue::new("rpc.system", "grpc"));
        attributes.push(KeyValue::new("rpc.grpc.status_code", i64::from(status.number())));
    } else if let Some(Fact::Text(system)) = step.facts.get("database") {
        attributes.push(KeyValue::new("db.system.name", system.clone()));
        if let Some(Fact::Text(code)) = step.facts.get("code") {
            attributes.push(KeyValue::new("db.response.status_code", code.clone()));
        }
    } else if let Some(Fact::Number(status)) = step.facts.get("status") {
        #[expect(clippy::cast_possible_truncation, reason = "an HTTP status is below 1000")]
        attributes.push(KeyValue::new("http.response.status_code", *status as i64));
    }
    if let Some(Fact::Text(route)) = step.facts.get("route") {
        attributes.push(KeyValue::new("http.route", route.clone()));
    }
    if step.role == Role::RootCause {
        attributes.extend(whole_incident(incident));
    }
    attributes
}

fn whole_incident(incident: &Incident) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("tapio.incident.state", incident.state.as_str()),
        KeyValue::new("tapio.incident.confidence", incident.confidence),
        KeyValue::new("tapio.incident.severity", incident.severity.as_str()),
        KeyValue::new("tapio.incident.narrative", incident.narrative.clone()),
        KeyValue::new("tapio.incident.impact", incident.impact.score),
        KeyValue::new("tapio.incident.completeness", incident.completeness.score),
    ];
    if let Some(into) = incident.merged_into {
        attributes.push(KeyValue::new("tapio.incident.merged_into", into.to_string()));
    }
    if let Some(advice) = &incident.recommendation {
        attributes.push(KeyValue::new(
            "tapio.incident.recommendation",
            advice.action.clone(),
        ));
        attributes.push(KeyValue::new(
            "tapio.incident.recommendation.command",
            advice.command.clone(),
        ));
    }
    attributes
}

fn texts(values: impl Iterator<Item = String>) -> Value {
    Value::Array(Array::String(values.map(StringValue::from).collect()))
}
