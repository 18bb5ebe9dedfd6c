//! The metrics that every stage has, named `tapio_<stage>_<noun>_<unit>`.

use std::sync::atomic::AtomicU64;
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

/// A partition of a stage; without labels a process that has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Place {
    /// Name of the stage.
    pub stage: Option<&'static str>,
    /// Number of the partition.
    pub partition: Option<u16>,
}

/// The stage of a process that a count belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageName {
    /// Name of the stage.
    pub stage: &'static str,
}

/// A gauge with fractions.
pub type Fraction = Gauge<f64, AtomicU64>;

const WHOLE: Place = Place {
    stage: None,
    partition: None,
};

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
    /// What was forgotten to stay within a bound.
    pub evictions: Family<Reason, Counter>,
    /// Leases that ended before they were given back.
    pub leases_lost: Family<StageName, Counter>,
    /// Messages that wait to be sent, in a process without partitions.
    pub queue_depth: Gauge,
    queues: Family<Place, Gauge>,
    lags: Family<Place, Fraction>,
}

/// A gauge of one partition, on the page until this is dropped.
#[derive(Debug)]
pub struct Series<G: Clone + Default> {
    place: Place,
    family: Family<Place, G>,
    /// The gauge.
    pub gauge: G,
}

impl<G: Clone + Default> Series<G> {
    /// The gauge of `family` for a partition of `stage`.
    pub fn new(family: &Family<Place, G>, stage: &'static str, partition: u16) -> Self {
        let place = Place {
            stage: Some(stage),
            partition: Some(partition),
        };
        let gauge = family.get_or_create(&place).clone();
        Self {
            family: family.clone(),
            place,
            gauge,
        }
    }
}

impl<G: Clone + Default> Drop for Series<G> {
    fn drop(&mut self) {
        self.family.remove(&self.place);
    }
}

/// The gauges of one partition.
#[derive(Debug)]
pub struct PartitionGauges {
    /// Messages that wait for the work.
    pub queue_depth: Series<Gauge>,
    /// Event time behind the clock, seconds.
    pub lag_seconds: Series<Fraction>,
}

impl Metrics {
    /// The metrics of `stage`.
    pub fn new(stage: &str) -> Self {
        let queues: Family<Place, Gauge> = Family::default();
        let queue_depth = queues.get_or_create(&WHOLE).clone();
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix(format!("tapio_{stage}")))),
            events_received: Counter::default(),
            events_sent: Counter::default(),
            events_dropped: Family::default(),
            errors: Family::default(),
            evictions: Family::default(),
            leases_lost: Family::default(),
            queue_depth,
            queues,
            lags: Family::default(),
        };
        let counters = [
            ("events_received", "Events that came in", &metrics.events_received),
            (
                "events_sent",
                "Events that went out and were acknowledged",
                &metrics.events_sent,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.register(name, help, counter.clone());
        }
        let families = [
            (
                "events_dropped",
                "Events that were dropped",
                &metrics.events_dropped,
            ),
            ("errors", "Things that went wrong", &metrics.errors),
            (
                "evictions",
                "What was forgotten to stay within a bound",
                &metrics.evictions,
            ),
        ];
        for (name, help, family) in families {
            metrics.register(name, help, family.clone());
        }
        let ended = "Leases that ended before they were given back";
        metrics.register("leases_lost", ended, metrics.leases_lost.clone());
        metrics.register("queue_depth", "Messages that wait", metrics.queues.clone());
        metrics.register("lag_seconds", "Event time behind the clock", metrics.lags.clone());
        metrics
    }

    /// Adds a metric of the stage's own.
    pub fn register(&self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        self.registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register(name, help, metric);
    }

    /// The gauges of a partition that begins here.
    pub fn partition(&self, stage: &'static str, partition: u16) -> PartitionGauges {
        // Whoever has partitions has no queue besides theirs.
        self.queues.remove(&WHOLE);
        // On the page before the first is lost, so that Prometheus sees an increase.
        drop(self.leases_lost.get_or_create(&StageName { stage }));
        PartitionGauges {
            queue_depth: Series::new(&self.queues, stage, partition),
            lag_seconds: Series::new(&self.lags, stage, partition),
        }
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

    /// Counts what was forgotten to stay within a bound.
    pub fn evict(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.evictions.get_or_create(&Reason { reason }).inc_by(count);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        let page = metrics.page();
        let mine = page.lines().filter(|line| line.starts_with(name));
        let mut mine: Vec<_> = mine.map(str::to_owned).collect();
        mine.sort();
        mine
    }

    #[test]
    fn partitions_do_not_overwrite_each_other_and_are_gone_with_their_lease() {
        let metrics = Metrics::new("test");
        metrics.queue_depth.set(1);
        assert_eq!(
            lines(&metrics, "tapio_test_queue_depth"),
            [r#"tapio_test_queue_depth{stage="",partition=""} 1"#]
        );
        let (first, second) = (metrics.partition("fold", 0), metrics.partition("fold", 1));
        let other = metrics.partition("explain", 0);
        first.queue_depth.gauge.set(5);
        second.queue_depth.gauge.set(7);
        second.lag_seconds.gauge.set(0.25);
        other.queue_depth.gauge.set(9);
        assert_eq!(
            lines(&metrics, "tapio_test_queue_depth"),
            [
                r#"tapio_test_queue_depth{stage="explain",partition="0"} 9"#,
                r#"tapio_test_queue_depth{stage="fold",partition="0"} 5"#,
                r#"tapio_test_queue_depth{stage="fold",partition="1"} 7"#,
            ]
        );
        drop((first, other));
        assert_eq!(
            lines(&metrics, "tapio_test_lag_seconds"),
            [r#"tapio_test_lag_seconds{stage="fold",partition="1"} 0.25"#]
        );
    }
}
