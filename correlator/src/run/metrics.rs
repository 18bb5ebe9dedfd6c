//! What the correlator measures of its own work, besides what every stage does.

use std::time::Duration;

use bus_stage::metrics::{Metrics, Place, Series};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::{causes::Causes, episodes::Episodes, topology::Topology};
use bus_stage::partitioned::Stage;

/// From 0.1 ms to 3.3 s, each bucket twice the one before: a look is bounded at 50 ms.
const SHORTEST_LOOK_SECONDS: f64 = 0.0001;
const LOOK_BUCKETS: u16 = 16;

/// The correlator's own metrics, registered once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Own {
    common: Metrics,
    open_episodes: Family<Place, Gauge>,
    remembered_episodes: Family<Place, Gauge>,
    open_incidents: Family<Place, Gauge>,
    blind_nodes: Family<Place, Gauge>,
    known_relations: Family<Place, Gauge>,
    looks: Counter,
    look_duration: Histogram,
}

/// Gauges of the causal step, on the page while its lease is held.
#[derive(Debug)]
pub(super) struct CellGauges {
    pub(super) remembered_episodes: Series<Gauge>,
    pub(super) open_incidents: Series<Gauge>,
    pub(super) blind_nodes: Series<Gauge>,
}

impl Own {
    /// Registers them beside those that every stage has.
    pub fn register(common: &Metrics) -> Self {
        let buckets = exponential_buckets(SHORTEST_LOOK_SECONDS, 2.0, LOOK_BUCKETS);
        let own = Self {
            common: common.clone(),
            open_episodes: Family::default(),
            remembered_episodes: Family::default(),
            open_incidents: Family::default(),
            blind_nodes: Family::default(),
            known_relations: Family::default(),
            looks: Counter::default(),
            look_duration: Histogram::new(buckets),
        };
        common.register("open_episodes", "Episodes that go on", own.open_episodes.clone());
        common.register(
            "remembered_episodes",
            "Episodes that may still explain something",
            own.remembered_episodes.clone(),
        );
        common.register(
            "open_incidents",
            "Incidents that are not resolved",
            own.open_incidents.clone(),
        );
        common.register(
            "blind_nodes",
            "Nodes on which an observer is silent or sees nothing",
            own.blind_nodes.clone(),
        );
        common.register(
            "known_relations",
            "Relations between objects that hold, or ended of late",
            own.known_relations.clone(),
        );
        common.register(
            "looks",
            "Reports taken in by the causal step, and steps of looks that were cut",
            own.looks.clone(),
        );
        common.register(
            "look_duration_seconds",
            "How long one of them took",
            own.look_duration.clone(),
        );
        own
    }

    /// Counts what was forgotten to stay within a bound, or because its time was over.
    pub fn evict(&self, reason: &'static str, count: u64) {
        self.common.evict(reason, count);
    }

    pub(super) fn looked(&self, took: Duration) {
        self.looks.inc();
        self.look_duration.observe(took.as_secs_f64());
    }

    pub(super) fn open_episodes(&self, partition: u16) -> Series<Gauge> {
        Series::new(&self.open_episodes, Episodes::NAME, partition)
    }

    pub(super) fn known_relations(&self, partition: u16) -> Series<Gauge> {
        Series::new(&self.known_relations, Topology::NAME, partition)
    }

    pub(super) fn cell(&self, partition: u16) -> CellGauges {
        CellGauges {
            remembered_episodes: Series::new(&self.remembered_episodes, Causes::NAME, partition),
            open_incidents: Series::new(&self.open_incidents, Causes::NAME, partition),
            blind_nodes: Series::new(&self.blind_nodes, Causes::NAME, partition),
        }
    }
}

/// Sets a gauge to a number of things.
pub(super) fn set(series: &Series<Gauge>, count: usize) {
    series.gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}
