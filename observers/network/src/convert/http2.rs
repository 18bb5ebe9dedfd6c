//! Failures of HTTP/2.

use bus_schema::Severity;
use bus_schema::event::Body;
use bus_schema::event::network::Role;
use bus_schema::event::status::HttpError;
use observer_base::{Context, Draft};

use super::{address, party, role};
use crate::http2::Failed;

/// An exchange that failed.
pub fn http2_failed(failed: &Failed, context: &Context) -> Draft {
    let connection = &failed.connection;
    let role = role(connection.role);
    let body = Body::HttpError(HttpError {
        role,
        status: failed.status,
        latency_ns: failed.latency_ns,
        grpc: failed.grpc,
        method: failed.method.clone(),
        trace: failed.trace.clone(),
        ..HttpError::default()
    });
    let peer_port = if role == Role::Server {
        0
    } else {
        connection.peer_port
    };
    Draft::new(
        failed.time_ns,
        Severity::Warning,
        party(&connection.task, context),
        body,
    )
    .towards(address(connection.peer, peer_port, connection.netns))
}
