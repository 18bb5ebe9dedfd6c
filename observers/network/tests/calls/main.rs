//! Calls between real processes, by route, as gRPC, in TLS and of databases: each failure at both ends, and nothing of what is well.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it lacks"
)]

#[path = "../../../base/tests/harness/context.rs"]
mod context;
mod database;
mod grpc;
mod peers;
#[path = "../../../base/tests/harness/program.rs"]
mod program;
mod routes;
mod tls;
#[path = "../../../base/tests/harness/told.rs"]
mod told;

use bus_schema::event::Body;
use bus_schema::event::Event;
use bus_schema::event::network::Role;
use bus_schema::event::status::HttpStats;
use peers::Server;
use tokio::sync::Mutex;
use told::Told;

const OBSERVER: &str = "status";

/// While programs are attached to a tracepoint, those that are attached already may miss a message of a connection, and so
/// lose it: no other test's may be.
static ATTACHED: Mutex<()> = Mutex::const_new(());

/// Waits until both ends have counted so many exchanges; gives their sums besides.
async fn until_both(told: &mut Told, server: &Server, wanted: u64) -> (Vec<Event>, [HttpStats; 2]) {
    until_each(told, server, [wanted; 2]).await
}

/// Waits until the client has counted so many exchanges, and the server so many.
async fn until_each(told: &mut Told, server: &Server, wanted: [u64; 2]) -> (Vec<Event>, [HttpStats; 2]) {
    let mut sums = [HttpStats::default(), HttpStats::default()];
    let events = told
        .until(|event| {
            if let Some(stats) = server.stats(event) {
                let [client, of_server] = &mut sums;
                add(
                    if stats.role == Role::Client {
                        client
                    } else {
                        of_server
                    },
                    stats,
                );
            }
            let mut counted = sums.iter().zip(wanted);
            counted.all(|(stats, wanted)| stats.requests() >= wanted)
        })
        .await;
    (events, sums)
}

fn add(sum: &mut HttpStats, stats: &HttpStats) {
    for (sum, count) in sum.by_class.iter_mut().zip(stats.by_class) {
        *sum += count;
    }
    sum.latency.merge(&stats.latency);
    sum.unanswered.merge(&stats.unanswered);
    sum.queries.total += stats.queries.total;
}

fn has_loss(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event.body, Body::Loss(_)))
}
