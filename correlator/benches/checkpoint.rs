//! What checkpoints of ten thousand workloads cost, each of which calls ten others.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and says what it has measured"
)]

use std::sync::Arc;

use bus_schema::entity::Workload;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::{Body, Event};
use bus_schema::{Batch, Entity, EventId, Header, SCHEMA_VERSION, Severity};
use correlator::fold::Folder;
use correlator::graph::{Graph, State};
use correlator::rules::RuleBook;
use criterion::{Criterion, criterion_group, criterion_main};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const WORKLOADS: u64 = 10_000;
const CALLEES: u64 = 10;

fn workload(number: u64) -> Entity {
    Entity::of_workload(Workload {
        kind: "Deployment".into(),
        namespace: format!("shop-{}", number % 20),
        name: format!("service-{number}"),
    })
}

/// One second in which a workload calls all of its callees.
fn calls(number: u64) -> Batch {
    let call = |way: u64| Event {
        id: EventId::of_event(START, "n", "b", "o", number * CALLEES + way),
        time_ns: START,
        observed_ns: START,
        severity: Severity::Info,
        subject: workload(number),
        object: Some(workload((number * 7 + way) % WORKLOADS)),
        count: 1,
        window_ns: SECOND,
        trace: None,
        body: Body::EdgeStats(EdgeStats {
            role: Role::Client,
            attempts: 10,
            established: 10,
            ..EdgeStats::default()
        }),
    };
    Batch {
        header: Header {
            schema: SCHEMA_VERSION,
            cluster: "lab".into(),
            node: "n".into(),
            boot: "b".into(),
            observer: "o".into(),
            first_sequence: number * CALLEES,
            // Far ahead: the second is judged, and what is normal is learned.
            watermark_ns: START + 2 * SECOND,
            dropped_total: 0,
            received_ns: START + 2 * SECOND,
            leaving: false,
        },
        events: (0..CALLEES).map(call).collect(),
        ..Batch::default()
    }
}

fn checkpoint(criterion: &mut Criterion) {
    let book = Arc::new(RuleBook::embedded().unwrap());
    let mut folder = Folder::new(Arc::clone(&book.catalogue), 0);
    let mut graph = Graph::new(Arc::clone(&book), State::default());
    let mut edges = 0;
    for number in 0..WORKLOADS {
        if let Some(report) = folder.apply(number + 1, &calls(number)) {
            edges += report.edges.len();
            graph.apply(&report);
        }
    }
    let of_episodes = || rmp_serde::to_vec_named(folder.state()).unwrap();
    let of_causes = || rmp_serde::to_vec_named(graph.state()).unwrap();
    println!(
        "{WORKLOADS} workloads, {edges} edges: {} bytes of the first step, {} of the second",
        of_episodes().len(),
        of_causes().len()
    );
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(20);
    group.bench_function("episodes", |bencher| bencher.iter(of_episodes));
    group.bench_function("causes", |bencher| bencher.iter(of_causes));
    let (first, second) = (of_episodes(), of_causes());
    group.bench_function("restore episodes", |bencher| {
        bencher.iter(|| {
            Folder::restore(
                Arc::clone(&book.catalogue),
                rmp_serde::from_slice(&first).unwrap(),
            )
        });
    });
    group.bench_function("restore causes", |bencher| {
        bencher.iter(|| Graph::new(Arc::clone(&book), rmp_serde::from_slice(&second).unwrap()));
    });
}

criterion_group!(benches, checkpoint);
criterion_main!(benches);
