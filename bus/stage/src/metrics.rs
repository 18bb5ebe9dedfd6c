//! The metrics that every stage has, named `tapio_<stage>_<noun>_<unit>`.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why something was dropped, or what went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// A token of a fixed list.
    pub reason: &'static str,
}

/// The common metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Events that came in.
    pub events_received: Counter,
    /// Events that went out and were acknowledged.
    pub events_sent: Counter,
    /// Events that were dropped.
    pub events_dropped: Family<Reason, Counter>,
    /// Things that went wrong.
    pub errors: Family<Reason, Counter>,
    /// Partitions that somebody else took, or may have taken, while this process worked on them.
    pub leases_lost: Counter,
    /// Messages behind the reader, or waiting to be sent.
    pub queue_depth: Gauge,
    /// Event time behind the clock, milliseconds.
    pub lag_milliseconds: Gauge,
}

impl Metrics {
    /// The metrics of `stage`.
    pub fn new(stage: &str) -> Self {
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix(format!("tapio_{stage}")))),
            events_received: Counter::default(),
            events_sent: Counter::default(),
            events_dropped: Family::default(),
            errors: Family::default(),
            leases_lost: Counter::default(),
            queue_depth: Gauge::default(),
            lag_milliseconds: Gauge::default(),
        };
        metrics.register(
            "events_received",
            "Events that came in",
            metrics.events_received.clone(),
        );
        metrics.register(
            "events_sent",
            "Events that went out and were acknowledged",
            metrics.events_sent.clone(),
        );
        metrics.register(
            "events_dropped",
            "Events that were dropped",
            metrics.events_dropped.clone(),
        );
        metrics.register("errors", "Things that went wrong", metrics.errors.clone());
        metrics.register(
            "leases_lost",
            "Partitions taken over while this process worked on them",
            metrics.leases_lost.clone(),
        );
        metrics.register("queue_depth", "Messages that wait", metrics.queue_depth.clone());
        metrics.register(
            "lag_milliseconds",
            "Event time behind the clock",
            metrics.lag_milliseconds.clone(),
        );
        metrics
    }

    /// Adds a metric of the stage's own.
    pub fn register(&self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        self.registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register(name, help, metric);
    }

    /// Counts a drop.
    pub fn drop_events(&self, reason: &'static str, events: u64) {
        self.events_dropped
            .get_or_create(&Reason { reason })
            .inc_by(events);
    }

    /// Counts an error.
    pub fn error(&self, reason: &'static str) {
        self.count_errors(reason, 1);
    }

    /// Counts errors.
    pub fn count_errors(&self, reason: &'static str, count: u64) {
        self.errors.get_or_create(&Reason { reason }).inc_by(count);
    }

    /// The page of `/metrics`.
    pub fn page(&self) -> String {
        let mut page = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if text::encode(&mut page, &registry).is_err() {
            page.clear();
        }
        page
    }
}
