//! A look at a large world in which little changed, and what a checkpoint of it costs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and says what it has measured"
)]

use std::sync::Arc;

use bus_schema::entity::Workload;
use bus_schema::episode::{Edge, Episode, Report};
use bus_schema::{Entity, EventId, Severity};
use correlator::graph::{Graph, State};
use correlator::rules::RuleBook;
use criterion::{Criterion, criterion_group, criterion_main};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const WORKLOADS: u128 = 1_000;
const EPISODES: u128 = 10_000;
/// Episodes that are told again between two looks …
const CHANGED: usize = 100;
/// … this far apart, so that each is told again before it is taken to be over.
const STEP_NS: u64 = SECOND / 4;

fn workload(number: u128) -> Entity {
    let workload = Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: format!("service-{number}"),
    };
    Entity {
        node: Some(format!("node-{}", number % 50)),
        ..Entity::of_workload(workload)
    }
}

/// Every workload calls ten others, fails to reach them, answers with errors and repeats itself.
fn episode(number: u128, now_ns: u64) -> Episode {
    let conditions = [
        "connect_refused",
        "http_5xx",
        "retry_storm",
        "http_5xx_received",
        "http_unanswered",
    ];
    let (subject, way) = (number % WORKLOADS, number / WORKLOADS);
    let condition = conditions[usize::try_from(way).unwrap() % conditions.len()];
    let has_object = condition != "http_5xx" && condition != "retry_storm";
    let start_ns = START + u64::try_from(number).unwrap() * SECOND / 1_000;
    Episode {
        id: EventId(number + 1),
        revision: 1,
        condition: condition.into(),
        severity: if way % 3 == 0 {
            Severity::Error
        } else {
            Severity::Warning
        },
        subject: workload(subject),
        object: has_object.then(|| workload((subject * 7 + way) % WORKLOADS)),
        start_ns,
        last_ns: now_ns.max(start_ns),
        count: 1,
        ..Episode::default()
    }
}

struct Large {
    graph: Graph,
    episodes: Vec<Episode>,
    now_ns: u64,
    next: usize,
}

impl Large {
    fn new() -> Self {
        let now_ns = START + 11 * SECOND;
        let mut large = Self {
            graph: Graph::new(Arc::new(RuleBook::embedded().unwrap()), State::default()),
            episodes: (0..EPISODES).map(|number| episode(number, now_ns)).collect(),
            now_ns,
            next: 0,
        };
        let calls = (0..EPISODES).map(|number| Edge {
            relation: "calls".into(),
            from: workload(number % WORKLOADS),
            to: workload((number % WORKLOADS * 7 + number / WORKLOADS) % WORKLOADS),
            first_ns: now_ns,
            last_ns: now_ns,
            until_ns: None,
        });
        let report = Report {
            episodes: large.episodes.clone(),
            edges: calls.collect(),
            ..large.report()
        };
        large.look(&report);
        large
    }

    fn report(&mut self) -> Report {
        self.now_ns += STEP_NS;
        Report {
            watermark_ns: self.now_ns,
            received_ns: self.now_ns,
            ..Report::default()
        }
    }

    /// What is told of the next episodes: each goes on, and the last one is new.
    fn next(&mut self) -> Report {
        let mut report = self.report();
        for _ in 0..CHANGED {
            self.next = (self.next + 1) % self.episodes.len();
            let episode = &mut self.episodes[self.next];
            episode.revision += 1;
            (episode.last_ns, episode.count) = (self.now_ns, episode.count + 1);
            report.episodes.push(episode.clone());
        }
        report
    }

    fn look(&mut self, report: &Report) -> usize {
        let mut revisions = self.graph.apply(report).len();
        while self.graph.has_more() {
            revisions += self.graph.resume().len();
        }
        revisions
    }
}

fn look(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look");
    group.sample_size(20);
    let mut large = Large::new();
    group.bench_function("10000 episodes, 100 changed", |bencher| {
        bencher.iter(|| {
            let report = large.next();
            large.look(&report)
        });
    });
    let checkpoint = || rmp_serde::to_vec_named(large.graph.state()).unwrap();
    println!(
        "checkpoint of {} episodes and {} open incidents: {} bytes",
        large.graph.episodes(),
        large.graph.open_incidents(),
        checkpoint().len()
    );
    group.bench_function("checkpoint", |bencher| bencher.iter(checkpoint));
    let state = checkpoint();
    let book = Arc::new(RuleBook::embedded().unwrap());
    group.bench_function("restore", |bencher| {
        bencher.iter(|| Graph::new(Arc::clone(&book), rmp_serde::from_slice(&state).unwrap()));
    });
    group.bench_function("all new", |bencher| {
        bencher.iter(|| Large::new().graph.open_incidents());
    });
}

criterion_group!(benches, look);
criterion_main!(benches);
