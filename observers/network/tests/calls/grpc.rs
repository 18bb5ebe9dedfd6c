//! Calls of gRPC: each failure with its code and method, at both ends, and nothing of what is well.

use bus_schema::event::Body;
use bus_schema::event::network::Role;
use bus_schema::event::node::Coverage;
use bus_schema::event::status::GrpcStatus;
use observer_network::Network;

use crate::peers::{Server, has_grpc};
use crate::told::Told;
use crate::{ATTACHED, OBSERVER, has_loss, until_both};

/// Calls that succeed, and streams.
const CALLS: u64 = 1_000;
const STREAMS: u64 = 20;

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn each_failure_is_told_by_both_ends_with_code_and_method_and_a_callers_fault_is_none() {
    if !has_grpc() {
        return;
    }
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_grpc(1, "grpc-fails");
    let mut client = server.called(&[
        "Good",
        "Missing",
        "Unavailable",
        "BreaksOff",
        "Slow:1:0.3",
        "Nothing",
        "Check:3",
    ]);
    let (events, sums) = until_both(&mut told, &server, 6).await;
    let witness = client.rest();
    assert!(
        witness.contains("Slow DEADLINE_EXCEEDED 1") && witness.contains("BreaksOff UNAVAILABLE 1"),
        "{witness}"
    );
    let errors = server.errors(&events);
    for (role, pid) in [(Role::Client, client.pid()), (Role::Server, server.peer.pid())] {
        let of_role = errors.iter().filter(|(_, error)| error.role == role);
        let mut seen: Vec<_> = of_role
            .map(|(event, error)| {
                assert_eq!(event.subject.process.as_ref().unwrap().pid, pid);
                (error.method.as_str(), error.status, error.grpc.unwrap())
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(
            seen,
            [
                ("tapio.Test/BreaksOff", 503, GrpcStatus::Unavailable),
                ("tapio.Test/Nothing", 501, GrpcStatus::Unimplemented),
                ("tapio.Test/Slow", 0, GrpcStatus::DeadlineExceeded),
                ("tapio.Test/Unavailable", 503, GrpcStatus::Unavailable),
            ],
            "{role:?}"
        );
    }
    for stats in sums {
        assert_eq!(stats.by_class, [0, 1, 0, 1, 3], "{:?}", stats.role);
        assert_eq!(stats.unanswered.total(), 1);
    }
    // streams are called without one
    for (_, error) in &errors {
        let trace = error.trace.as_ref().map(|trace| trace.trace_id.as_str());
        let expected = (error.method != "tapio.Test/BreaksOff").then_some("4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace, expected, "{error:?}");
    }
    let late = errors.iter().filter(|(_, error)| error.status == 0);
    for (_, error) in late {
        assert!(
            (270_000_000..2_000_000_000).contains(&error.latency_ns),
            "{error:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_thousand_good_calls_and_long_streams_are_counted_by_both_ends_and_told_by_none() {
    if !has_grpc() {
        return;
    }
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_grpc(2, "grpc-good");
    let mut client = server.called(&["Good:1000", "Echo:20"]);
    let (events, sums) = until_both(&mut told, &server, CALLS + STREAMS).await;
    assert_eq!(client.rest(), "Good OK 1000\nEcho OK 20\n");
    for stats in sums {
        assert_eq!(stats.by_class, [0, CALLS + STREAMS, 0, 0, 0]);
        assert_eq!(stats.latency.total(), CALLS + STREAMS);
    }
    assert_eq!(server.errors(&events), [], "{events:?}");
    assert!(!has_loss(&events));
    let calls = server.calls();
    assert_eq!(
        (calls["Good"], calls["Echo"]),
        (CALLS, STREAMS),
        "the witness's own account"
    );
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn of_a_connection_from_before_the_observer_it_is_said_that_nothing_is_known() {
    if !has_grpc() {
        return;
    }
    let _alone = ATTACHED.lock().await;
    let server = Server::of_grpc(3, "grpc-before");
    let mut before = server.called(&["Good", "wait", "Unavailable:20"]);
    assert_eq!([before.line(), before.line()], ["Good OK 1", "ready"]);
    let mut told = Told::by::<Network>(OBSERVER).await;
    before.go_on();
    assert_eq!(before.rest(), "Unavailable UNAVAILABLE 20\n");
    let events = told
        .until(|event| {
            let Body::Capability(capability) = &event.body else {
                return false;
            };
            capability.hook == "http2_before" && capability.coverage == Coverage::Degraded
        })
        .await;
    assert_eq!(server.errors(&events), []);
    assert!(
        events.iter().all(|event| server.stats(event).is_none()),
        "{events:?}"
    );
    let mut after = server.called(&["Unavailable:3"]);
    let (_, [client, _]) = until_both(&mut told, &server, 3).await;
    assert_eq!(client.by_class, [0, 0, 0, 0, 3], "{}", after.rest());
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_call_that_its_server_does_not_live_to_answer_is_unanswered_and_one_that_its_client_leaves_is_not()
{
    if !has_grpc() {
        return;
    }
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_grpc(4, "grpc-dies");
    let mut leaves = server.called(&["Good", "wait", "Slow"]);
    let mut waits = server.called(&["Good", "wait", "Slow"]);
    for client in [&mut leaves, &mut waits] {
        assert_eq!([client.line(), client.line()], ["Good OK 1", "ready"]);
        client.go_on();
    }
    // Both are under way when their server says that it has them.
    let mut under_way = server.called(&["Wait"]);
    assert_eq!(under_way.line(), "Wait OK 1");
    leaves.kill();
    assert_eq!(leaves.rest(), "");
    server.peer.kill();
    assert_eq!(waits.rest(), "Slow UNAVAILABLE 1\n");
    let pid = waits.pid();
    let events = told
        .until(|event| !server.errors(std::slice::from_ref(event)).is_empty())
        .await;
    let told: Vec<_> = server
        .errors(&events)
        .into_iter()
        .map(|(event, error)| {
            let process = event.subject.process.as_ref().unwrap();
            (process.pid, error.status, error.grpc, error.method.as_str())
        })
        .collect();
    assert_eq!(told, [(pid, 0, Some(GrpcStatus::Unavailable), "tapio.Test/Slow")]);
}
