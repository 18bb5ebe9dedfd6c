//! Calls of HTTP that nobody reads on the wire.

use std::time::Duration;

use bus_schema::Incident;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root, tells};

/// Longer than a program needs to start, and its library to be found.
const SETTLES: Duration = Duration::from_secs(6);

fn serves(service: &Service, port: u16, backend: u16) -> Running {
    let (script, port, backend) = (program("serve_https.py"), port.to_string(), backend.to_string());
    service.run(&[PYTHON, &script, &port, &backend])
}

fn asks(service: &Service, port: u16, seconds: u32) -> Running {
    let (script, port, seconds) = (program("ask_https.py"), port.to_string(), seconds.to_string());
    service.run(&[PYTHON, &script, &port, "10", &seconds])
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_server_of_https_whose_backend_is_killed_fails_and_the_end_of_the_backend_is_the_cause() {
    let scene = Scene::new("https-backend").await;
    let (store, stock, cart) = (
        scene.service("store"),
        scene.service("stock"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let backend = store.serves(behind.number());
    let _server = serves(&stock, port.number(), behind.number());
    tokio::time::sleep(SETTLES).await;
    let client = asks(&cart, port.number(), 16);
    tokio::time::sleep(SETTLES).await;
    backend.signal(Signal::KILL);
    client.ends().await;
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "store"
            && tells(incident, "stock", "http_5xx", "")
    };
    scene
        .has_one("SIGKILL to store, HTTP 500s from stock", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_suspended_server_of_https_leaves_its_callers_unanswered() {
    let scene = Scene::new("https-suspended").await;
    let (stock, cart, port) = (scene.service("stock"), scene.service("cart"), Scene::port());
    let server = serves(&stock, port.number(), 0);
    tokio::time::sleep(SETTLES).await;
    let client = asks(&cart, port.number(), 16);
    tokio::time::sleep(SETTLES).await;
    server.signal(Signal::STOP);
    client.ends().await;
    server.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "stock"
            && tells(incident, "cart", "http_unanswered", "")
    };
    scene
        .has_one("SIGSTOP to stock, unanswered requests of cart", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn https_that_is_well_is_no_incident() {
    let scene = Scene::new("https-well").await;
    let (stock, cart, port) = (scene.service("stock"), scene.service("cart"), Scene::port());
    let _server = serves(&stock, port.number(), 0);
    tokio::time::sleep(SETTLES).await;
    let clients = [asks(&cart, port.number(), 10), asks(&cart, port.number(), 8)];
    for client in clients {
        client.ends().await;
    }
    scene.stays_quiet().await;
}
