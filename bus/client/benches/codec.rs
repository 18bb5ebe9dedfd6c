//! Packing batches as named MessagePack, compressed, and unpacking them.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use bus_client::codec::Codec;
use bus_schema::Batch;
use bus_schema::samples::{Samples, Shape};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Runs `one` for batches of several sizes.
fn for_batches(
    criterion: &mut Criterion,
    name: &str,
    mut one: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId, &Batch),
) {
    let mut group = criterion.benchmark_group(name);
    for events_per_batch in [1, 16, 64, 256] {
        let batch = Samples::new(Shape::of_a_node(events_per_batch), 0)
            .nth(1)
            .unwrap();
        group.throughput(Throughput::Elements(events_per_batch));
        one(&mut group, BenchmarkId::from_parameter(events_per_batch), &batch);
    }
}

fn encode(criterion: &mut Criterion) {
    let mut codec = Codec::new().unwrap();
    for_batches(criterion, "encode", |group, id, batch| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| codec.pack(&batch.header, &batch.events).unwrap());
        });
    });
}

fn decode(criterion: &mut Criterion) {
    let mut codec = Codec::new().unwrap();
    for_batches(criterion, "decode", |group, id, batch| {
        let payload = codec.pack(&batch.header, &batch.events).unwrap();
        group.bench_function(id, |bencher| bencher.iter(|| codec.unpack(&payload).unwrap()));
    });
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
