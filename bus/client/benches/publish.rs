//! Publishing batches to a real server with file storage: one after the other, as an observer does.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[expect(dead_code, reason = "a bench kills no server")]
#[path = "../tests/harness/server.rs"]
mod server;

use bus_client::codec::Codec;
use bus_client::publisher::{Outgoing, publish};
use bus_client::streams;
use bus_schema::names::events_subject;
use bus_schema::samples::{Samples, Shape};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use server::Server;
use tokio::runtime::Runtime;

fn one_by_one(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = Server::start();
    let bus = runtime.block_on(server.connect());
    runtime.block_on(streams::provision(&bus, 1)).unwrap();
    let mut group = criterion.benchmark_group("publish");
    for events_per_batch in [1, 64] {
        let batch = Samples::new(Shape::of_a_node(events_per_batch), 0)
            .nth(1)
            .unwrap();
        let mut message = Outgoing {
            subject: events_subject(&batch.header.node, "network"),
            message_id: None,
            events: events_per_batch,
            payload: Codec::new()
                .unwrap()
                .pack(&batch.header, &batch.events)
                .unwrap()
                .into(),
        };
        let mut number = 0_u64;
        group.throughput(Throughput::Elements(events_per_batch));
        group.bench_function(BenchmarkId::from_parameter(events_per_batch), |bencher| {
            bencher.iter(|| {
                number += 1;
                message.message_id = Some(format!("{events_per_batch}/{number}"));
                runtime.block_on(publish(&bus, &message)).unwrap();
            });
        });
    }
}

criterion_group!(benches, one_by_one);
criterion_main!(benches);
