//! Calls of gRPC: who has failed them, and which of their ends are no failure.

use std::time::Duration;

use bus_schema::Incident;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root, tells};

/// Longer than a program needs to start, and a caller to be known.
const SETTLES: Duration = Duration::from_secs(5);

/// Whether this host has what is tested with; says so where it has not.
fn has_grpc() -> bool {
    let mut check = std::process::Command::new(PYTHON);
    let is_there = check.args(["-c", "import grpc"]).status();
    let is_there = is_there.is_ok_and(|status| status.success());
    if !is_there {
        println!("SKIP: python3-grpcio is missing; type: deploy/setup");
    }
    is_there
}

fn serves(service: &Service, port: u16, backend: u16) -> Running {
    let (script, port, backend) = (program("serve_grpc.py"), port.to_string(), backend.to_string());
    service.run(&[PYTHON, &script, &port, &backend])
}

fn calls(service: &Service, port: u16, of: &str, seconds: u32) -> Running {
    let (script, port, seconds) = (program("call_grpc.py"), port.to_string(), seconds.to_string());
    service.run(&[PYTHON, &script, &port, of, "10", &seconds])
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_server_whose_backend_is_killed_is_unavailable_and_the_end_of_the_backend_is_the_cause() {
    if !has_grpc() {
        return;
    }
    let scene = Scene::new("grpc-backend").await;
    let (store, stock, cart) = (
        scene.service("store"),
        scene.service("stock"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let backend = store.serves(behind.number());
    let _server = serves(&stock, port.number(), behind.number());
    tokio::time::sleep(SETTLES).await;
    let client = calls(&cart, port.number(), "Good", 15);
    tokio::time::sleep(SETTLES).await;
    backend.signal(Signal::KILL);
    client.ends().await;
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "store"
            && tells(incident, "stock", "http_5xx", "gRPC UNAVAILABLE")
    };
    scene
        .has_one("SIGKILL to store, gRPC UNAVAILABLE from stock", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_server_that_is_suspended_lets_deadlines_pass() {
    if !has_grpc() {
        return;
    }
    let scene = Scene::new("grpc-suspended").await;
    let (stock, cart, port) = (scene.service("stock"), scene.service("cart"), Scene::port());
    let server = serves(&stock, port.number(), 0);
    tokio::time::sleep(SETTLES).await;
    let client = calls(&cart, port.number(), "Good", 15);
    tokio::time::sleep(SETTLES).await;
    server.signal(Signal::STOP);
    client.ends().await;
    server.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "stock"
            && tells(incident, "cart", "http_unanswered", "gRPC DEADLINE_EXCEEDED")
    };
    scene
        .has_one("SIGSTOP to stock, deadlines of cart that pass", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_is_not_found_and_a_feed_that_is_left_are_no_failures() {
    if !has_grpc() {
        return;
    }
    let scene = Scene::new("grpc-well").await;
    let (stock, cart, feed) = (
        scene.service("stock"),
        scene.service("cart"),
        scene.service("feed"),
    );
    let port = Scene::port();
    let _server = serves(&stock, port.number(), 0);
    tokio::time::sleep(SETTLES).await;
    let clients = [
        calls(&cart, port.number(), "Bad", 10),
        calls(&cart, port.number(), "Good", 10),
        calls(&feed, port.number(), "Feed", 8),
    ];
    for client in clients {
        client.ends().await;
    }
    scene.stays_quiet().await;
}
