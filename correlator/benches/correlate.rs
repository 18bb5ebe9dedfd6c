//! Events through both steps: folded into episodes, and these into incidents.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;

use bus_schema::Batch;
use bus_schema::samples::{Samples, Shape};
use correlator::fold::Folder;
use correlator::graph::{Graph, State};
use correlator::rules::RuleBook;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

struct Core {
    folder: Folder,
    graph: Graph,
    sequence: u64,
}

impl Core {
    fn new() -> Self {
        Self {
            folder: Folder::new(RuleBook::embedded().unwrap().catalogue, 0),
            graph: Graph::new(Arc::new(RuleBook::embedded().unwrap()), State::default()),
            sequence: 0,
        }
    }

    fn apply(&mut self, batch: &Batch) -> usize {
        self.sequence += 1;
        let report = self.folder.apply(self.sequence, batch);
        report.map_or(0, |report| self.graph.apply(&report).len())
    }
}

fn correlate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("correlate");
    for (name, failing) in [("healthy", 0), ("failing", 10)] {
        let shape = Shape {
            nodes: 100,
            workloads: 200,
            failing,
            events_per_batch: 64,
        };
        let (mut core, mut samples) = (Core::new(), Samples::new(shape, 0));
        group.throughput(Throughput::Elements(shape.events_per_batch));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_batched_ref(
                || samples.next().unwrap(),
                |batch| core.apply(batch),
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, correlate);
criterion_main!(benches);
