//! Bodies of the status observer.

mod database;
mod grpc;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::network::Role;
use crate::histogram::Log2;
use crate::trace_context::TraceContext;

pub use database::{DatabaseError, DatabaseSystem};
pub use grpc::GrpcStatus;

/// An HTTP exchange between subject and object ended with a status ≥ 500, or without a response (or `count` of them in the
/// window). So did a call of gRPC that failed by what its server did, or a query that a database did not answer well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpError {
    /// Which end the subject is.
    pub role: Role,
    /// HTTP status code; of a call of gRPC, the one that stands for its status; of a database's error, 500. 0 where the callee ended the connection, or the
    /// client gave up, before anything came back.
    pub status: u16,
    /// From request to response, or to the end of the wait for it, ns.
    pub latency_ns: u64,
    /// How a call of gRPC ended; `None` for any other exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcStatus>,
    /// Service and method of a call of gRPC, `package.Service/Method`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// What was asked for, `GET /orders/{id}`; empty where it was not read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// The error of a database; `None` for any other exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseError>,
    /// The trace that the request says it belongs to; `None` where it says nothing, or that was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// Exchanges between subject and object that ended within one window, by a response or without one: of HTTP, gRPC and databases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpStats {
    /// Which end the subject is.
    pub role: Role,
    /// Responses by class: 1xx, 2xx, 3xx, 4xx, 5xx. Those of gRPC are of the class that stands for their status; a database's are
    /// 2xx, 4xx where its client asked what cannot be, or 5xx.
    pub by_class: [u64; 5],
    /// Time from request to response, ns.
    pub latency: Log2,
    /// Requests to which nothing came back before the callee ended the connection or the client gave up, by how long it had
    /// waited, ns.
    #[serde(skip_serializing_if = "Log2::is_empty")]
    pub unanswered: Log2,
    /// Those that were queries of databases.
    #[serde(skip_serializing_if = "QueryStats::is_empty")]
    pub queries: QueryStats,
    /// Requests that wait on for their answer, by how long they have, ns: told when that is a second, and every eight seconds more.
    #[serde(skip_serializing_if = "Log2::is_empty")]
    pub waiting: Log2,
    /// Those that failed, by what was asked for; the most frequent ones, at most [`MOST_ROUTES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteStats>,
}

/// Queries of databases among the exchanges of a window. Who asks a database asks it several times for each request of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryStats {
    /// With and without an answer.
    pub total: u64,
    /// Answered by an error of the database.
    pub failed: u64,
    /// Not answered.
    pub unanswered: u64,
}

impl QueryStats {
    /// None was seen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Routes that one window tells of.
pub const MOST_ROUTES: usize = 8;

/// Exchanges of one route within one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteStats {
    /// As [`HttpError::route`].
    pub route: String,
    /// With and without a response.
    pub requests: u64,
    /// With a status of 500 or above, or without a response.
    pub failed: u64,
}

impl HttpStats {
    /// Exchanges in the window that had a response.
    pub fn total(&self) -> u64 {
        self.by_class.iter().sum()
    }

    /// Requests in the window, with and without a response.
    pub fn requests(&self) -> u64 {
        self.total() + self.unanswered.total()
    }

    /// Time from request to response, ns, or up to now.
    pub fn delays(&self) -> Cow<'_, Log2> {
        if self.waiting.is_empty() {
            return Cow::Borrowed(&self.latency);
        }
        let mut delays = self.latency.clone();
        delays.merge(&self.waiting);
        Cow::Owned(delays)
    }

    /// Exchanges that ended with a status of 500 or above.
    pub fn server_errors(&self) -> u64 {
        let [_, _, _, _, errors] = self.by_class;
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_grpc_survives_the_wire_and_any_other_error_takes_no_more_bytes_than_before() {
        let other = HttpError {
            status: 503,
            ..HttpError::default()
        };
        let bytes = rmp_serde::to_vec_named(&other).unwrap();
        assert_eq!(bytes[0], 0x83, "three fields");
        assert_eq!(rmp_serde::from_slice::<HttpError>(&bytes).unwrap(), other);
        let call = HttpError {
            grpc: Some(GrpcStatus::DeadlineExceeded),
            method: "shop.Cart/Add".into(),
            ..other
        };
        let bytes = rmp_serde::to_vec_named(&call).unwrap();
        assert_eq!(rmp_serde::from_slice::<HttpError>(&bytes).unwrap(), call);
    }
}
