//! A real OTLP receiver takes an incident: what a backend would see.

use std::collections::BTreeMap;

use bus_schema::entity::{Entity, Pod, Workload};
use bus_schema::incident::{CausedBy, Completeness, Impact, Role, State, Step};
use bus_schema::{EventId, Incident, Severity, Timestamp, TraceContext};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use sink_otlp::endpoint::Settings;
use sink_otlp::export::{Error, Exporter};
use tokio::sync::mpsc;
use tonic::Code;
use tonic::transport::Server;

use super::backend::Backend;

const START: u64 = 1_700_000_000_000_000_000;
const MILLI: u64 = 1_000_000;

fn step(number: u128, label: &str, role: Role, depth: u32, start: u64, causes: &[u128]) -> Step {
    let workload = Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: label.into(),
    };
    let caused_by = |cause: &u128| CausedBy {
        step: EventId(*cause),
        rule: "rule".into(),
        mechanism: "m".into(),
        strength: 0.9,
    };
    Step {
        id: EventId(number),
        condition: "condition".into(),
        name: format!("Step.{number}"),
        role,
        depth,
        severity: Severity::Error,
        entity: Entity::of_workload(workload),
        label: label.into(),
        pods: Vec::new(),
        nodes: Vec::new(),
        peer: None,
        start: Timestamp(START + start),
        last: Timestamp(START + start),
        count: 1,
        text: format!("step {number}"),
        caused_by: causes.iter().map(caused_by).collect(),
        facts: BTreeMap::new(),
        evidence: vec![EventId(number + 100)],
        exemplars: Vec::new(),
    }
}

fn incident(revision: u32) -> Incident {
    Incident {
        id: EventId(7),
        revision,
        state: State::Updated,
        severity: Severity::Critical,
        cluster: "lab".into(),
        namespace: "shop".into(),
        workload: "redis".into(),
        first_symptom_at: Timestamp(START),
        opened_at: Timestamp(START),
        updated_at: Timestamp(START + 400 * MILLI),
        steps: vec![
            step(1, "redis", Role::RootCause, 0, 0, &[]),
            step(2, "redis", Role::Intermediate, 1, 100 * MILLI, &[1]),
            step(3, "api-gateway", Role::Symptom, 2, 300 * MILLI, &[2, 1]),
        ],
        confidence: 0.9,
        candidates: Vec::new(),
        rejected: Vec::new(),
        impact: Impact {
            score: 51.0,
            workloads: vec!["redis".into()],
            depth: 2,
        },
        completeness: Completeness {
            score: 1.0,
            lost_events: 0,
            blind: Vec::new(),
        },
        recommendation: None,
        narrative: "Story.".into(),
        merged_into: None,
        omitted: None,
    }
}

/// Exports to this backend.
async fn export(backend: Backend, incident: &Incident) -> Result<(), Error> {
    let (port, serving) = backend.serve(Server::builder()).await;
    let exporter = Exporter::new(&Settings::to(&format!("http://127.0.0.1:{port}"))).unwrap();
    let result = exporter.export(incident).await;
    serving.abort();
    result
}

/// Spans by resource, and log records.
async fn received(incident: &Incident) -> (BTreeMap<String, Vec<Span>>, Vec<ExportLogsServiceRequest>) {
    let (traces, mut trace_requests) = mpsc::channel(16);
    let (logs, mut log_requests) = mpsc::channel(16);
    let backend = Backend {
        traces,
        logs,
        refuses: None,
    };
    export(backend, incident).await.unwrap();
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    while let Ok(request) = trace_requests.try_recv() {
        for resource_spans in request.resource_spans {
            let service = format!("{:?}", resource_spans.resource.unwrap().attributes);
            let group = resource_spans
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            spans.entry(service).or_default().extend(group);
        }
    }
    let mut logs = Vec::new();
    while let Ok(request) = log_requests.try_recv() {
        logs.push(request);
    }
    (spans, logs)
}

fn named<'a>(spans: &'a BTreeMap<String, Vec<Span>>, name: &str) -> &'a Span {
    spans.values().flatten().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn parents_are_causes_and_contain_their_effects() {
    let (spans, _) = received(&incident(1)).await;
    assert_eq!(spans.len(), 2, "one resource per entity");
    assert!(
        spans
            .keys()
            .any(|resource| resource.contains("api-gateway") && resource.contains("k8s.deployment.name"))
    );
    let (root, kill, symptom) = (
        named(&spans, "Step.1"),
        named(&spans, "Step.2"),
        named(&spans, "Step.3"),
    );
    assert!(root.parent_span_id.is_empty());
    assert_eq!(kill.parent_span_id, root.span_id);
    assert_eq!(symptom.parent_span_id, kill.span_id);
    assert_eq!(symptom.links.len(), 1, "the further cause is a link");
    assert_eq!(symptom.links[0].span_id, root.span_id);
    for (parent, child) in [(root, kill), (kill, symptom)] {
        assert!(parent.start_time_unix_nano <= child.start_time_unix_nano);
        assert!(
            parent.end_time_unix_nano >= child.end_time_unix_nano,
            "no clock-skew warning"
        );
    }
    assert!(
        symptom.end_time_unix_nano > symptom.start_time_unix_nano,
        "visible"
    );
}

#[tokio::test]
async fn a_revision_is_a_trace_of_its_own_that_names_the_one_before() {
    let (first, _) = received(&incident(1)).await;
    let (again, _) = received(&incident(1)).await;
    let (second, _) = received(&incident(2)).await;
    let trace = |spans: &BTreeMap<String, Vec<Span>>| named(spans, "Step.1").trace_id.clone();
    assert_eq!(trace(&first), trace(&again), "exporting twice changes nothing");
    assert_ne!(trace(&first), trace(&second));
    let link = &named(&second, "Step.1").links[0];
    assert_eq!(link.trace_id, trace(&first));
    assert!(named(&first, "Step.1").links.is_empty());
}

#[tokio::test]
async fn requests_of_users_in_which_a_step_can_be_seen_are_links_and_ids_that_are_none_are_left_out() {
    let trace = |trace_id: &str| TraceContext {
        trace_id: trace_id.into(),
        span_id: "00f067aa0ba902b7".into(),
    };
    let mut incident = incident(1);
    incident.steps[1].exemplars = vec![
        trace("4bf92f3577b34da6a3ce929d0e0e4736"),
        trace("no trace"),
        trace(&"0".repeat(32)),
    ];
    let (spans, _) = received(&incident).await;
    let links = &named(&spans, "Step.2").links;
    assert_eq!(links.len(), 1, "{links:?}");
    assert_eq!(links[0].trace_id[..2], [0x4b, 0xf9]);
    assert_eq!(links[0].span_id, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7]);
    assert!(named(&spans, "Step.1").links.is_empty());
}

#[tokio::test]
async fn evidence_is_tied_to_its_span() {
    let (spans, logs) = received(&incident(1)).await;
    let scopes = logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|resource| &resource.scope_logs);
    let records: Vec<_> = scopes.flat_map(|scope| &scope.log_records).collect();
    assert_eq!(records.len(), 3);
    for record in records {
        assert!(
            spans
                .values()
                .flatten()
                .any(|span| span.span_id == record.span_id && span.trace_id == record.trace_id)
        );
    }
}

#[tokio::test]
async fn two_pods_of_a_workload_are_two_resources_with_their_own_names() {
    let mut told = incident(1);
    let redis = told.steps[0].entity.clone();
    for (step, uid) in told.steps.iter_mut().zip(["", "old", "new"]) {
        step.entity = redis.clone();
        step.entity.pod = (!uid.is_empty()).then(|| Pod {
            uid: uid.into(),
            namespace: "shop".into(),
            name: format!("redis-{uid}"),
        });
    }
    let (spans, _) = received(&told).await;
    let resource_of = |name: &str| {
        let holds = |spans: &Vec<Span>| spans.iter().any(|span| span.name == name);
        spans.iter().find(|(_, spans)| holds(spans)).unwrap().0
    };
    for (step, pod, other) in [
        ("Step.2", "redis-old", "redis-new"),
        ("Step.3", "redis-new", "redis-old"),
    ] {
        let resource = resource_of(step);
        assert!(resource.contains(pod) && !resource.contains(other), "{resource}");
    }
    let deployment = resource_of("Step.1");
    assert!(
        deployment.contains("k8s.namespace.name") && !deployment.contains("k8s.pod.name"),
        "{deployment}"
    );
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_be_taken_later() {
    let (traces, _trace_requests) = mpsc::channel(1);
    let (logs, _log_requests) = mpsc::channel(1);
    let answers = [
        (Code::InvalidArgument, true, false),
        (Code::ResourceExhausted, false, true),
        (Code::PermissionDenied, false, false),
    ];
    for (code, is_final, is_exhausted) in answers {
        let backend = Backend {
            traces: traces.clone(),
            logs: logs.clone(),
            refuses: Some(code),
        };
        let error = export(backend, &incident(1)).await.unwrap_err();
        assert_eq!(error.is_final(), is_final, "{code:?}");
        assert_eq!(error.is_exhausted(), is_exhausted, "{code:?}");
    }
}

#[tokio::test]
async fn a_backend_that_is_away_is_an_error_that_says_so() {
    let error = Exporter::new(&Settings::to("http://127.0.0.1:1"))
        .unwrap()
        .export(&incident(1))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Export { signal: "trace", .. }), "{error}");
    assert!(Exporter::new(&Settings::to("no url")).is_err());
}
