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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::vitals::Vitals;

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

    /// Nothing more is to be said of `what`.
    pub fn forget(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
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
    vitals: Vitals,
    metrics: Metrics,
}

/// Serves the three pages until `stop` is cancelled. Returns once the address is bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    vitals: Vitals,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error { address, source })?;
    let bound = listener.local_addr().unwrap_or(address);
    let pages = Pages {
        readiness,
        vitals,
        metrics,
    };
    let router = Router::new()
        .route("/healthz", get(healthz))
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

async fn healthz(State(pages): State<Pages>) -> impl IntoResponse {
    let failing = pages.vitals.failing(Instant::now());
    page(
        failing.is_empty(),
        &serde_json::json!({ "healthy": failing.is_empty(), "failing": failing }),
    )
}

async fn readyz(State(pages): State<Pages>) -> impl IntoResponse {
    let missing = pages.readiness.missing();
    page(
        missing.is_empty(),
        &serde_json::json!({ "ready": missing.is_empty(), "waiting_for": missing }),
    )
}

fn page(is_well: bool, body: &serde_json::Value) -> impl IntoResponse + use<> {
    let status = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_process_without_one_of_its_vital_tasks_is_not_healthy_and_says_which() {
        let vitals = Vitals::default();
        let pulse = vitals.pulse("fold leases", Duration::from_secs(30));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (readiness, metrics, stop) = (
            Readiness::default(),
            Metrics::new("test"),
            CancellationToken::new(),
        );
        let _guard = stop.clone().drop_guard();
        let address = serve(address, readiness.clone(), vitals, metrics, stop)
            .await
            .unwrap();
        readiness.waiting("nats", "not connected");
        pulse.beat();
        let well = get(address, "/healthz").await;
        assert!(
            well.starts_with("HTTP/1.0 200") && well.ends_with(r#"{"failing":{},"healthy":true}"#),
            "who waits is healthy: {well}"
        );
        drop(pulse);
        let ill = get(address, "/healthz").await;
        assert!(ill.starts_with("HTTP/1.0 503"), "{ill}");
        assert!(
            ill.ends_with(r#"{"failing":{"fold leases":"ended unexpectedly"},"healthy":false}"#),
            "{ill}"
        );
    }
}
