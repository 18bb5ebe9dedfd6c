//! Enriching batches and splitting them by partition.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use bus_schema::samples::{Samples, Shape};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use enricher::{Enricher, Topology};

fn enrich(criterion: &mut Criterion) {
    let shape = Shape {
        nodes: 100,
        workloads: 200,
        failing: 2,
        events_per_batch: 64,
    };
    let topology = Topology::default();
    let mut group = criterion.benchmark_group("enrich");
    group.throughput(Throughput::Elements(shape.events_per_batch));
    for partitions in [1, 4] {
        let (mut enricher, mut samples) = (Enricher::default(), Samples::new(shape, 0));
        group.bench_function(BenchmarkId::new("partitions", partitions), |bencher| {
            bencher.iter_batched(
                || samples.next().unwrap(),
                |batch| enricher.apply(&topology, batch, partitions),
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, enrich);
criterion_main!(benches);
