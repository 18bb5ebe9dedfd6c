//! Unpacking batches.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use bus_client::codec::Codec;
use bus_schema::samples::{Samples, Shape};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for events_per_batch in [1, 16, 64, 256] {
        let shape = Shape {
            nodes: 1,
            workloads: 200,
            failing: 2,
            events_per_batch,
        };
        let batch = Samples::new(shape, 0).nth(1).unwrap();
        let mut codec = Codec::new().unwrap();
        let payload = codec.pack(&batch.header, &batch.events).unwrap();
        group.throughput(Throughput::Elements(events_per_batch));
        group.bench_function(BenchmarkId::from_parameter(events_per_batch), |bencher| {
            bencher.iter(|| codec.unpack(&payload).unwrap());
        });
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
