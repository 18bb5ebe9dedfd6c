//! Step one: events of one condition on one entity fold into an episode.
//!
//! A [`Folder`] owns one enriched partition. It is a function of the batches in stream order; its whole state can be
//! written down and taken up again at any message boundary.

mod conditions;
mod crowds;
mod episodes;
mod evicted;
mod evidence;
mod gauges;
mod instances;
mod pairs;
mod ratio;
mod seen;
mod sighting;
mod specs;
mod stops;
mod storm;

use std::time::Duration;

use bus_schema::entity::{ADDRESSES_KIND, PROGRAM_KIND, UNIT_KIND};
use bus_schema::episode::{Blindness, Edge, Report};
use bus_schema::event::network::Role;
use bus_schema::event::{Body, Event};
use bus_schema::{Batch, Entity, SCHEMA_VERSION, Severity};
use bus_stage::watermark::{self, Watermark};
use serde::{Deserialize, Serialize};

use crowds::Crowds;
pub(crate) use episodes::ENDED_BY_LISTENING;
use episodes::Episodes;
use gauges::Gauges;
use instances::Instances;
use ratio::Ratios;
use seen::Seen;
use sighting::Sighting;
pub(crate) use sighting::{OTHERS_LISTENING, WAITED_SECONDS};
use stops::Stops;
use storm::Storms;

use crate::condition::Condition;
use crate::fold::gauges::Edges;

/// Seconds are judged and quiet episodes ended in steps of this length, of which a second has a whole number.
const JUDGE_INTERVAL: Duration = Duration::from_millis(50);

/// The state of one enriched partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Folder {
    partition: u16,
    watermark: Watermark,
    reported_watermark_ns: u64,
    judged_ns: u64,
    #[serde(default)]
    crowds: Crowds,
    episodes: Episodes,
    stops: Stops,
    instances: Instances,
    ratios: Ratios,
    storms: Storms,
    edges: Edges,
    gauges: Gauges,
}

impl Folder {
    /// An empty state for `partition`.
    pub fn new(partition: u16) -> Self {
        Self {
            partition,
            watermark: Watermark::default(),
            reported_watermark_ns: 0,
            judged_ns: 0,
            crowds: Crowds::default(),
            episodes: Episodes::default(),
            stops: Stops::default(),
            instances: Instances::default(),
            ratios: Ratios::default(),
            storms: Storms::default(),
            edges: Edges::default(),
            gauges: Gauges::default(),
        }
    }

    /// Takes one batch, which is message `sequence` of its stream. Returns what to publish, if anything.
    pub fn apply(&mut self, sequence: u64, batch: &Batch) -> Option<Report> {
        let mut report = Report {
            schema: SCHEMA_VERSION,
            cluster: batch.header.cluster.clone(),
            partition: self.partition,
            sequence,
            received_ns: batch.header.received_ns,
            ..Report::default()
        };
        for event in &batch.events {
            self.fold(event, &batch.header.node, &mut report);
        }
        let header = &batch.header;
        self.watermark
            .note(header.producer(), header.watermark_ns, header.received_ns);
        self.pass_time(&mut report);
        report.watermark_ns = self.watermark.now_ns();
        let due = watermark::is_heartbeat_due(self.reported_watermark_ns, report.watermark_ns);
        if report.is_heartbeat() && !due {
            return None;
        }
        self.reported_watermark_ns = report.watermark_ns;
        Some(report)
    }

    /// Open episodes, for a metric.
    pub fn open_episodes(&self) -> usize {
        self.episodes.len()
    }

    /// Episodes, baselines and seconds that made room for others since this was last asked: more happens than can be
    /// remembered.
    pub fn take_evicted(&mut self) -> u64 {
        let all = [
            &mut self.crowds.evicted,
            &mut self.episodes.evicted,
            &mut self.instances.evicted,
            &mut self.ratios.evicted,
            &mut self.storms.evicted,
        ];
        all.into_iter().map(evicted::Evicted::take).sum()
    }

    fn fold(&mut self, event: &Event, node: &str, report: &mut Report) {
        if is_probe(event) {
            return;
        }
        let in_crowd = self.crowds.joined(event);
        let event = in_crowd.as_ref().unwrap_or(event);
        match &event.body {
            Body::EdgeStats(stats) if stats.role == Role::Client => {
                let seen = Seen::new(event);
                self.storms.outbound(&seen, stats);
                self.ratios.connections(&seen, stats);
                self.see_edge(&seen, report);
            }
            Body::HttpStats(stats) => {
                let seen = Seen::new(event);
                self.storms.exchanges(&seen, stats);
                self.ratios.exchanges(&seen, stats);
                if stats.role == Role::Client {
                    self.see_edge(&seen, report);
                }
            }
            Body::ConnectFailed(_) => {
                self.see_edge(&Seen::new(event), report);
                self.sight(event);
            }
            Body::TcpStats(stats) => {
                let loss = self.gauges.tcp(event, stats, &mut report.gauges);
                self.episodes.merge_all(loss);
            }
            Body::NodePressure(pressure) => {
                let pressed = self.gauges.pressure(event, pressure, &mut report.gauges);
                self.episodes.merge_all(pressed);
            }
            Body::Loss(loss) => {
                let loss = Some((loss.clone(), event.count));
                report.blindness.push(Blindness {
                    node: node.to_owned(),
                    time_ns: event.time_ns,
                    loss,
                    capability: None,
                });
            }
            Body::Capability(capability) => {
                let capability = Some(capability.clone());
                report.blindness.push(Blindness {
                    node: node.to_owned(),
                    time_ns: event.time_ns,
                    loss: None,
                    capability,
                });
            }
            Body::HttpError(_)
            | Body::MemoryGrowth(_)
            | Body::ExecutableChanged(_)
            | Body::SignalSent(_)
            | Body::ProcessExited(_)
            | Body::OomKill(_)
            | Body::ImageChanged(_) => self.sight(event),
            Body::SpecChanged(change) => self.episodes.merge_all(specs::sightings(event, change)),
            Body::Listening(listening) => {
                let is_news = self.instances.note(event, listening.open);
                if listening.open && is_news {
                    self.episodes.is_up(&event.subject.key().into(), event.time_ns);
                }
            }
            Body::EdgeStats(_) | Body::ObjectState(_) => {}
        }
        self.episodes.publish_urgent(&mut report.episodes);
    }

    fn sight(&mut self, event: &Event) {
        self.stops.note(event);
        if let Some(mut sighting) = Sighting::of(event) {
            if self.stops.explain(event) {
                sighting.condition = Condition::ProcessStopped;
                sighting.severity = Severity::Info;
            }
            if ENDED_BY_LISTENING.contains(&sighting.condition) {
                let others = self.instances.others(&sighting.subject, sighting.time_ns);
                sighting.remaining(others);
            }
            self.ratios.count_early(&sighting);
            self.episodes.merge(sighting);
        }
    }

    fn see_edge(&mut self, seen: &Seen<'_>, report: &mut Report) {
        if let Some(callee) = seen.event.object.as_ref().filter(|callee| is_someone(callee)) {
            report.edges.extend(self.edges.see(seen, callee));
        }
    }

    /// What becomes due when the watermark moves: whole seconds are judged, quiet episodes end.
    fn pass_time(&mut self, report: &mut Report) {
        let now_ns = self.watermark.now_ns();
        if !watermark::passes(self.judged_ns, now_ns, JUDGE_INTERVAL) {
            return;
        }
        self.judged_ns = now_ns;
        self.ratios.judge(now_ns, &mut self.episodes);
        self.storms.judge(now_ns, &mut self.episodes);
        self.episodes.publish_urgent(&mut report.episodes);
        self.episodes.publish_due(now_ns, &mut report.episodes);
        self.edges.forget(now_ns);
    }
}

/// Kubelet's name, as a process and as a unit.
const KUBELET: &str = "kubelet";

/// Kubelet's own calls test a pod from outside: nobody is served by them, and nobody suffers when they fail.
fn is_probe(event: &Event) -> bool {
    let is_call = matches!(
        event.body,
        Body::ConnectFailed(_) | Body::EdgeStats(_) | Body::HttpStats(_) | Body::HttpError(_)
    );
    is_call && is_kubelet(&event.subject)
}

/// By its process, or by its unit or program where what a second sums up knows no process.
fn is_kubelet(caller: &Entity) -> bool {
    let process = caller.process.as_ref().map(|process| &process.comm);
    let unit = caller
        .workload
        .as_ref()
        .filter(|workload| [UNIT_KIND, PROGRAM_KIND].contains(&workload.kind.as_str()))
        .map(|unit| &unit.name);
    caller.pod.is_none() && process.or(unit).is_some_and(|name| name == KUBELET)
}

fn is_someone(entity: &Entity) -> bool {
    let workload = entity.workload.as_ref();
    workload.is_some_and(|workload| workload.kind != ADDRESSES_KIND) || entity.service.is_some()
}

/// The edge of the entity graph by which `from` calls `to`.
fn calls(from: &Entity, to: &Entity, first_ns: u64, last_ns: u64) -> Edge {
    Edge {
        relation: "calls".to_owned(),
        from: from.clone(),
        to: to.clone(),
        first_ns,
        last_ns,
    }
}
