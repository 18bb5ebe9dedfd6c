//! Step one: events of one condition on one entity fold into an episode.
//!
//! A [`Folder`] owns one enriched partition. It is a function of the batches in stream order; its whole state can be
//! written down and taken up again at any message boundary.

mod crowds;
mod episodes;
mod evicted;
mod evidence;
mod gauges;
mod instances;
mod pairs;
mod probe;
mod ratio;
mod seen;
mod sighting;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use bus_schema::entity::{ADDRESSES_KIND, Cgroup, Workload};
use bus_schema::episode::{Blindness, Edge, Fact, Report};
use bus_schema::event::network::Role;
use bus_schema::event::{Body, Event, Kind};
use bus_schema::{Batch, Entity, SCHEMA_VERSION};
use bus_stage::step::Step;
use bus_stage::watermark::{self, Watermark};
use serde::{Deserialize, Serialize};

use crowds::Crowds;
use episodes::Episodes;
use gauges::{Edges, Gauges};
use instances::Instances;
use probe::is_probe;
use ratio::Ratios;
use seen::{Ends, Name, Seen};
use sighting::Sighting;
pub(crate) use sighting::{OTHERS_LISTENING, WAITED_SECONDS};
use storm::Storms;

use crate::condition::row::{Fold, Level};
use crate::condition::{Catalogue, Condition, Preceding, Reading};
use crate::rules::path::{CALLS, EXCHANGES};

/// Seconds are judged and quiet episodes ended in steps of this length, of which a second has a whole number.
const JUDGE_INTERVAL: Duration = Duration::from_millis(50);

/// Folds the events of one enriched partition.
#[derive(Debug)]
pub struct Folder {
    catalogue: Arc<Catalogue>,
    ratios: ratio::Table,
    storms: Vec<storm::Table>,
    /// Conditions after which a service has a process less.
    ends_process: Vec<Condition>,
    state: State,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    partition: u16,
    watermark: Watermark,
    reported_watermark_ns: u64,
    judged_ns: u64,
    crowds: Crowds,
    episodes: Episodes,
    preceding: Arc<Preceding>,
    instances: Instances,
    ratios: Ratios,
    /// In the order of the catalogue's rows.
    storms: Vec<Storms>,
    edges: Edges,
    /// Calls of which is seen what is exchanged.
    #[serde(default)]
    exchanges: Edges,
    gauges: Gauges,
}

impl State {
    /// A clock was set back, and what is remembered goes back with it. Seconds that are not complete are let go.
    fn follow(&mut self, step: Step) {
        self.ratios.let_go();
        self.storms.iter_mut().for_each(Storms::let_go);
        step.move_times(self);
    }
}

impl Folder {
    /// An empty state for `partition`.
    pub fn new(catalogue: impl Into<Arc<Catalogue>>, partition: u16) -> Self {
        let state = State {
            partition,
            ..State::default()
        };
        Self::restore(catalogue, state)
    }

    /// Takes up from `state`.
    pub fn restore(catalogue: impl Into<Arc<Catalogue>>, mut state: State) -> Self {
        let catalogue = catalogue.into();
        let (ratios, storms) = (ratio::Table::of(&catalogue), storm::Table::all(&catalogue));
        state.ratios.arrange(&ratios);
        state.storms.resize_with(storms.len(), Storms::default);
        let rows = catalogue.rows().map(|(condition, row)| (condition, row.traits()));
        let ends_process = rows.filter(|(_, traits)| traits.ends_process);
        Self {
            ends_process: ends_process.map(|(condition, _)| condition).collect(),
            ratios,
            storms,
            state,
            catalogue,
        }
    }

    /// What a checkpoint must hold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes one batch, which is message `sequence` of its stream. Returns what to publish, if anything.
    pub fn apply(&mut self, sequence: u64, batch: &Batch) -> Option<Report> {
        let mut report = Report {
            schema: SCHEMA_VERSION,
            cluster: batch.header.cluster.clone(),
            partition: self.state.partition,
            sequence,
            received_ns: batch.header.received_ns,
            ..Report::default()
        };
        for event in &batch.events {
            self.fold(event, &batch.header.node, &mut report);
        }
        let header = &batch.header;
        let step = self.state.watermark.note_numbered(
            header.producer(),
            header.first_sequence,
            header.watermark_ns,
            header.received_ns,
        );
        if let Some(step) = step {
            self.state.follow(step);
        }
        self.pass_time(&mut report);
        report.watermark_ns = self.state.watermark.now_ns();
        let due = watermark::is_heartbeat_due(self.state.reported_watermark_ns, report.watermark_ns);
        if report.is_heartbeat() && !due {
            return None;
        }
        self.state.reported_watermark_ns = report.watermark_ns;
        Some(report)
    }

    /// Open episodes, for a metric.
    pub fn open_episodes(&self) -> usize {
        self.state.episodes.len()
    }

    /// Episodes, baselines and seconds that made room for others since this was last asked: more happens than can be
    /// remembered.
    pub fn take_evicted(&mut self) -> u64 {
        let state = &mut self.state;
        let storms = state.storms.iter_mut().map(|storms| &mut storms.evicted);
        let all = [
            &mut state.crowds.evicted,
            &mut state.episodes.evicted,
            &mut state.instances.evicted,
            &mut state.ratios.evicted,
        ];
        all.into_iter().chain(storms).map(evicted::Evicted::take).sum()
    }

    fn fold(&mut self, event: &Event, node: &str, report: &mut Report) {
        if is_probe(event) {
            return;
        }
        let in_crowd = self.state.crowds.joined(event);
        let event = in_crowd.as_ref().unwrap_or(event);
        report.blindness.extend(blindness(event, node));
        report.edges.extend(affected(event));
        report.edges.extend(limited(event));
        if let Body::Listening(listening) = &event.body {
            self.listen(event, listening.open);
        }
        if self.is_counted(event) {
            self.count(event, report);
        }
        self.sight(event, report);
        self.state.episodes.publish_urgent(&mut report.episodes);
    }

    fn listen(&mut self, event: &Event, is_open: bool) {
        let is_news = self.state.instances.note(event, is_open);
        if is_open && is_news {
            let ended = self.ends_process.iter().copied();
            let subject = event.subject.key().into();
            self.state.episodes.is_up(ended, &subject, event.time_ns);
        }
    }

    /// Whether it is of a call of the subject, or of calls that some row counts.
    fn is_counted(&self, event: &Event) -> bool {
        let (kind, role) = (event.kind(), event.body.role());
        role == Some(Role::Client)
            || role.is_some_and(|role| self.ratios.counts(kind, role))
            || role == Some(Role::Server) && self.storms.iter().any(|table| table.counts_requests(kind))
    }

    /// Statistics of calls, and whom they connect.
    fn count(&mut self, event: &Event, report: &mut Report) {
        let seen = Seen::new(event);
        let state = &mut self.state;
        for (table, storms) in self.storms.iter().zip(&mut state.storms) {
            storms.add(table, &seen);
        }
        state.ratios.add(&self.ratios, &seen);
        let callee = event.object.as_ref().filter(|callee| is_someone(callee));
        if let Some(callee) = callee.filter(|_| event.body.role() == Some(Role::Client)) {
            report.edges.extend(state.edges.see(CALLS, &seen, callee));
            if event.kind() == Kind::HttpStats {
                let read = state.exchanges.see(EXCHANGES, &seen, callee);
                report.edges.extend(read);
            }
        }
    }

    /// What single events tell, condition by condition.
    fn sight(&mut self, event: &Event, report: &mut Report) {
        let catalogue = Arc::clone(&self.catalogue);
        let readings = catalogue.read(event, &self.state.preceding);
        if readings.is_empty() {
            return;
        }
        for reading in readings {
            self.take(&catalogue, event, reading, report);
        }
        Arc::make_mut(&mut self.state.preceding).forget_used(&event.subject);
    }

    fn take(&mut self, catalogue: &Catalogue, event: &Event, reading: Reading<'_>, report: &mut Report) {
        let Some(row) = catalogue.row(reading.condition) else {
            return;
        };
        let holds = reading.holds;
        let Some(sighting) = Sighting::of(event, reading, row) else {
            return;
        };
        match &row.fold {
            Fold::Level(level) => {
                let gauge = row.gauge.as_deref().unwrap_or(&level.measure);
                self.measure(level, gauge, sighting, holds, report);
            }
            Fold::State(_) if !holds => self.state.episodes.release(&sighting),
            Fold::Point
            | Fold::Occurrences(_)
            | Fold::State(_)
            | Fold::Ratio(_)
            | Fold::Distribution(_)
            | Fold::Amplification(_) => self.see(sighting),
        }
    }

    fn see(&mut self, mut sighting: Sighting) {
        let state = &mut self.state;
        if self.catalogue.is_asked_after(sighting.condition) {
            Arc::make_mut(&mut state.preceding).note(sighting.condition, &sighting.subject);
        }
        if sighting.traits.ends_process {
            let others = state.instances.others(&sighting.subject, sighting.time_ns);
            sighting.remaining(others);
        }
        if state.ratios.is_usual(&sighting) {
            return;
        }
        state.ratios.count_early(&sighting);
        state.episodes.merge(sighting);
    }

    /// A measurement, and whether it is within the bounds of its row; `found` is what it would be a sighting of.
    fn measure(&mut self, level: &Level, gauge: &str, found: Sighting, holds: bool, report: &mut Report) {
        let Some(Fact::Number(value)) = found.facts.get(&level.measure).cloned() else {
            return;
        };
        let state = &mut self.state;
        let said = state.gauges.say(&found.subject, gauge, found.time_ns, value);
        report.gauges.extend(said);
        let ends = Ends {
            subject: found.subject.key().into(),
            object: Name::of(found.object.as_ref()),
        };
        let bound = if state.episodes.is_open(found.condition, &ends) {
            level.leave
        } else {
            level.enter
        };
        if holds && value >= bound {
            state.episodes.merge(Sighting {
                intensity: value,
                ..found
            });
        } else {
            state.episodes.heal(found.condition, &ends, found.time_ns);
        }
    }

    /// What becomes due when the watermark moves: whole seconds are judged, quiet episodes end.
    fn pass_time(&mut self, report: &mut Report) {
        let state = &mut self.state;
        let now_ns = state.watermark.now_ns();
        if !watermark::passes(state.judged_ns, now_ns, JUDGE_INTERVAL) {
            return;
        }
        state.judged_ns = now_ns;
        state.ratios.judge(&self.ratios, now_ns, &mut state.episodes);
        for (table, storms) in self.storms.iter().zip(&mut state.storms) {
            storms.judge(table, now_ns, &mut state.episodes);
        }
        state.episodes.publish_urgent(&mut report.episodes);
        state
            .episodes
            .publish_due(&self.catalogue, now_ns, &mut report.episodes);
        state.edges.forget(now_ns);
        state.exchanges.forget(now_ns);
    }
}

/// What an observer says of its own sight.
fn blindness(event: &Event, node: &str) -> Option<Blindness> {
    let told = Blindness {
        node: node.to_owned(),
        time_ns: event.time_ns,
        ..Blindness::default()
    };
    if let Body::Loss(loss) = &event.body {
        let loss = Some((loss.clone(), event.count));
        Some(Blindness { loss, ..told })
    } else if let Body::Capability(capability) = &event.body {
        let capability = Some(capability.clone());
        Some(Blindness { capability, ..told })
    } else {
        None
    }
}

/// Whom a change of an object reaches, as the change itself says.
fn affected(event: &Event) -> impl Iterator<Item = Edge> {
    let change = if let Body::SpecChanged(change) = &event.body {
        change.affected.as_slice()
    } else {
        &[]
    };
    let edge = |workload: &Workload| Edge {
        relation: "affects".to_owned(),
        from: event.subject.clone(),
        to: Entity::of_workload(workload.clone()),
        first_ns: event.time_ns,
        last_ns: event.time_ns,
        until_ns: None,
    };
    change.iter().map(edge)
}

/// Under whose memory limit the subject stands, as the event itself says.
fn limited(event: &Event) -> Option<Edge> {
    let path = if let Body::MemoryGrowth(growth) = &event.body {
        &growth.limited_cgroup
    } else if let Body::OomKill(kill) = &event.body {
        &kill.limited_cgroup
    } else if let Body::MemoryThrottled(throttled) = &event.body {
        &throttled.throttled_cgroup
    } else {
        return None;
    };
    let group = Entity {
        cgroup: Some(Cgroup {
            id: 0,
            path: path.clone(),
        }),
        node: event.subject.node.clone(),
        ..Entity::default()
    };
    (!path.is_empty()).then(|| Edge {
        relation: "limited_by".to_owned(),
        from: event.subject.clone(),
        to: group,
        first_ns: event.time_ns,
        last_ns: event.time_ns,
        until_ns: None,
    })
}

fn is_someone(entity: &Entity) -> bool {
    let workload = entity.workload.as_ref();
    workload.is_some_and(|workload| workload.kind != ADDRESSES_KIND) || entity.service.is_some()
}
