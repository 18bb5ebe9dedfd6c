//! A log through both steps of the correlator.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus_schema::episode::Report;
use bus_schema::event::node::{Capability, Coverage, NodePressure};
use bus_schema::event::{Body, Event};
use bus_schema::family::FAMILIES;
use bus_schema::{Batch, Entity, Header, Incident, SCHEMA_VERSION, Severity};
use correlator::fold::Folder;
use correlator::graph::Graph;
use correlator::rules::RuleBook;

use super::log::Log;

/// Every observer that this version has.
fn observers() -> impl Iterator<Item = &'static str> {
    let all = FAMILIES.iter().flat_map(|family| family.observers);
    all.filter(|observer| observer.built)
        .map(|observer| observer.token)
}

impl Log {
    pub(crate) fn replay(self) -> Vec<Incident> {
        self.replay_by(RuleBook::embedded().unwrap())
    }

    /// Replays by other rules.
    pub(crate) fn replay_by(self, book: RuleBook) -> Vec<Incident> {
        self.replay_steps(book, |folder, graph| (folder, graph))
    }

    /// Replays; `between` may replace both states after each message, as a restart does.
    pub(crate) fn replay_from(self, between: impl Fn(Folder, Graph) -> (Folder, Graph)) -> Vec<Incident> {
        self.replay_steps(RuleBook::embedded().unwrap(), between)
    }

    fn replay_steps(
        self,
        book: RuleBook,
        between: impl Fn(Folder, Graph) -> (Folder, Graph),
    ) -> Vec<Incident> {
        let book = Arc::new(book);
        let (mut folder, mut graph) = (
            Folder::new(Arc::clone(&book.catalogue), 0),
            Graph::new(book, correlator::graph::State::default()),
        );
        let mut incidents = Vec::new();
        for batch in self.batches() {
            let report = folder.apply(batch.header.first_sequence, &batch);
            incidents.extend(report.iter().flat_map(|report| graph.apply(report)));
            (folder, graph) = between(folder, graph);
        }
        incidents
    }

    /// What the first step makes of it.
    pub(crate) fn reports(self) -> Vec<Report> {
        self.reports_by(RuleBook::embedded().unwrap())
    }

    /// What the first step makes of it by other rules.
    pub(crate) fn reports_by(self, book: RuleBook) -> Vec<Report> {
        let mut folder = Folder::new(book.catalogue, 0);
        self.batches()
            .iter()
            .filter_map(|batch| folder.apply(batch.header.first_sequence, batch))
            .collect()
    }

    /// An event a batch, in the order in which they were observed.
    pub(crate) fn batches(mut self) -> Vec<Batch> {
        self.capabilities();
        self.0.sort_by_key(|event| event.observed_ns);
        let batch = |(first_sequence, event): (u64, Event)| {
            let header = Header {
                schema: SCHEMA_VERSION,
                cluster: "lab".into(),
                node: event.subject.node.clone().unwrap_or_else(|| "n1".into()),
                boot: "b".into(),
                observer: "o".into(),
                first_sequence,
                watermark_ns: event.time_ns - 1,
                dropped_total: 0,
                received_ns: event.observed_ns,
                leaving: false,
            };
            Batch {
                header,
                events: vec![event],
                ..Batch::default()
            }
        };
        (1..).zip(self.0).map(batch).collect()
    }

    fn capabilities(&mut self) {
        let nodes: BTreeSet<_> = self
            .0
            .iter()
            .filter_map(|event| event.subject.node.clone())
            .collect();
        for (node, observer) in nodes
            .iter()
            .flat_map(|node| observers().map(move |observer| (node, observer)))
        {
            let capability = Capability {
                observer: observer.into(),
                hook: "all".into(),
                rung: "tp_btf".into(),
                coverage: Coverage::Full,
                reason: String::new(),
            };
            self.add(
                1,
                Severity::Info,
                Entity::of_node(node),
                None,
                Body::Capability(capability),
            );
        }
        let pressure = NodePressure {
            memory_some_avg10: Some(0.0),
            memory_available_bytes: 8 << 30,
            memory_total_bytes: 16 << 30,
            ..NodePressure::default()
        };
        self.add(
            2,
            Severity::Info,
            Entity::of_node("n1"),
            None,
            Body::NodePressure(pressure),
        );
    }
}

pub(crate) fn conditions(incident: &Incident) -> Vec<(&str, &str)> {
    incident
        .steps
        .iter()
        .map(|step| (step.label.as_str(), step.condition.as_str()))
        .collect()
}
