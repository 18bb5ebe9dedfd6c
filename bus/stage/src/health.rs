//! `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What a process waits for before it is ready. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Readiness {
    /// `what` is as it should be.
    pub fn ready(&self, what: &str) {
        self.set(what, None);
    }

    /// `what` is not as it should be, and why.
    pub fn waiting(&self, what: &str, why: impl Into<String>) {
        self.set(what, Some(why.into()));
    }

    /// What is waited for, and why. Empty when ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(|(what, why)| Some((what.clone(), why.clone()?)))
            .collect()
    }

    fn set(&self, what: &str, why: Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what.to_owned(), why);
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("health address {address} cannot be listened on")]
pub struct Error {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

#[derive(Clone)]
struct Pages {
    readiness: Readiness,
    metrics: Metrics,
}

/// Serves the three pages until `stop` is cancelled. Returns once the address is bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error { address, source })?;
    let bound = listener.local_addr().unwrap_or(address);
    let pages = Pages { readiness, metrics };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .with_state(pages);
    tokio::spawn(async move {
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = server.await {
            tracing::error!(error = %error, "health pages ended");
        }
    });
    Ok(bound)
}

async fn readyz(State(pages): State<Pages>) -> impl IntoResponse {
    let missing = pages.readiness.missing();
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({ "ready": missing.is_empty(), "waiting_for": missing });
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        pages.metrics.page(),
    )
}
