//! Calls of gRPC and queries of databases fail like requests, and are called by how they ended.

use bus_schema::event::Body;
use bus_schema::event::network::Role;
use bus_schema::event::status::{DatabaseError, DatabaseSystem, GrpcStatus, HttpError, HttpStats};
use bus_schema::histogram::Log2;
use bus_schema::{Incident, Severity};

use super::log::{Log, process, service};
use super::{MILLI, SECOND};

impl Log {
    /// From eleven seconds on, the stock answers its carts' calls so, or not at all.
    fn calls_end(&mut self, ends: &HttpError) {
        let status = ends.status;
        for second in 1..=16 {
            let fails = if second > 11 { 10 } else { 0 };
            let mut unanswered = Log2::default();
            let errors = if status == 0 { 0 } else { fails };
            unanswered.record(SECOND, fails - errors);
            let window = |role| HttpStats {
                role,
                by_class: [0, 10 - fails, 0, 0, errors],
                unanswered: unanswered.clone(),
                ..HttpStats::default()
            };
            let (asks, asked) = (window(Role::Client), window(Role::Server));
            let (cart, stock) = (service("cart"), service("stock"));
            self.add(
                second * SECOND,
                Severity::Info,
                stock.clone(),
                None,
                Body::HttpStats(asked),
            );
            self.add(
                second * SECOND,
                Severity::Info,
                cart,
                Some(stock),
                Body::HttpStats(asks),
            );
        }
        for tenth in 0..50 {
            let error = |role| {
                Body::HttpError(HttpError {
                    role,
                    latency_ns: SECOND,
                    ..ends.clone()
                })
            };
            let at = 11 * SECOND + tenth * 100 * MILLI;
            self.add(
                at,
                Severity::Warning,
                process("stock", 7),
                None,
                error(Role::Server),
            );
            let asked = Some(service("stock"));
            self.add(
                at,
                Severity::Warning,
                process("cart", 8),
                asked,
                error(Role::Client),
            );
        }
    }
}

fn grpc(grpc: GrpcStatus, status: u16) -> HttpError {
    HttpError {
        status,
        grpc: Some(grpc),
        method: "shop.Stock/Take".into(),
        ..HttpError::default()
    }
}

/// The last revision of the only incident.
fn told(ends: &HttpError) -> Incident {
    let mut log = Log::default();
    log.calls_end(ends);
    (17..24).for_each(|second| log.second(second * SECOND, 10, 0, 10, 0));
    let incidents = log.replay();
    let last = incidents.last().cloned().unwrap();
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    last
}

#[test]
fn a_server_that_is_unavailable_fails_as_by_503_and_is_told_by_its_status() {
    let incident = told(&grpc(GrpcStatus::Unavailable, 503));
    let is_error = incident.steps.iter().any(|step| step.condition == "http_5xx");
    assert!(is_error, "{incident:?}");
    assert!(
        incident.narrative.contains("gRPC UNAVAILABLE"),
        "{}",
        incident.narrative
    );
    assert!(!incident.narrative.contains("HTTP"), "{}", incident.narrative);
}

#[test]
fn a_deadline_that_passes_is_no_answer_to_its_caller_and_no_error_of_its_server() {
    let incident = told(&grpc(GrpcStatus::DeadlineExceeded, 0));
    let steps: Vec<_> = incident
        .steps
        .iter()
        .map(|step| (step.label.as_str(), step.condition.as_str()))
        .collect();
    assert!(steps.contains(&("cart", "http_unanswered")), "{steps:?}");
    assert!(
        steps.iter().all(|(_, condition)| *condition != "http_5xx"),
        "{steps:?}"
    );
    let text = &incident.steps.last().unwrap().text;
    assert!(text.contains("(gRPC DEADLINE_EXCEEDED)"), "{text}");
}

#[test]
fn a_database_that_has_no_room_is_told_by_its_own_words() {
    let incident = told(&HttpError {
        status: 500,
        database: Some(DatabaseError {
            system: DatabaseSystem::Redis,
            code: "OOM".into(),
        }),
        ..HttpError::default()
    });
    assert!(
        incident.narrative.contains("Redis OOM (out of memory) errors"),
        "{}",
        incident.narrative
    );
    assert!(!incident.narrative.contains("HTTP"), "{}", incident.narrative);
}
