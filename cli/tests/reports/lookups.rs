//! Lookups of names: by dnsmasq, for programs that ask through the C library.

use std::time::Duration;

use bus_schema::Incident;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root};

const STARTS: Duration = Duration::from_secs(2);

/// A name server that knows `db.inner.test` alone, for itself.
fn name_server(scene: &Scene, address: &str) -> (Service, Running) {
    let service = scene.service("names");
    let running = service.run(&[
        "/usr/sbin/dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--bind-interfaces",
        &format!("--listen-address={address}"),
        "--local=/test/",
        "--host-record=db.inner.test,127.0.0.1",
    ]);
    (service, running)
}

/// Starts an HTTP server that looks `name` up at `address` for each request.
fn looks_up(service: &Service, port: u16, address: &str, name: &str) -> Running {
    let settings =
        format!("nameserver {address}\\nsearch outer.test inner.test\\noptions timeout:1 attempts:1\\n");
    let script = format!(
        "f=$(mktemp); printf '{settings}' > $f; mount --bind $f /etc/resolv.conf; exec {PYTHON} {} {port} {name}",
        program("look_up.py")
    );
    service.run(&["unshare", "--mount", "sh", "-c", &script])
}

fn tells(incident: &Incident, condition: &str) -> bool {
    incident.steps.iter().any(|step| step.condition == condition)
}

/// Users of a service whose name server is sent a signal.
async fn after(scene: &str, address: &str, signal: Signal) -> Scene {
    let scene = Scene::new(scene).await;
    let (_names, server) = name_server(&scene, address);
    let (shop, users, port) = (scene.service("shop"), scene.service("users"), Scene::port());
    let _shop = looks_up(&shop, port.number(), address, "db");
    tokio::time::sleep(STARTS).await;
    let asking = users.asks(port.number(), "/", 5, 16);
    tokio::time::sleep(Duration::from_secs(8)).await;
    server.signal(signal);
    asking.ends().await;
    server.signal(Signal::CONT);
    scene
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_no_name_server_listens_any_more_its_end_is_the_cause() {
    let scene = after("no-names", "127.53.1.1", Signal::KILL).await;
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label.ends_with("names")
            && tells(incident, "dns_unreachable")
            && tells(incident, "http_5xx")
    };
    scene
        .has_one(
            "SIGKILL to names, unreachable name server, errors of shop",
            is_right,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_name_server_that_is_suspended_is_the_cause_of_what_waits_for_it() {
    let scene = after("names-suspended", "127.53.2.1", Signal::STOP).await;
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label.ends_with("names")
            && tells(incident, "dns_timed_out")
    };
    scene
        .has_one("SIGSTOP to names, unanswered lookups of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn names_that_a_search_tries_in_vain_are_no_failure() {
    let scene = Scene::new("searched").await;
    let address = "127.53.3.1";
    let (_names, _server) = name_server(&scene, address);
    let (shop, users, port) = (scene.service("shop"), scene.service("users"), Scene::port());
    let _shop = looks_up(&shop, port.number(), address, "db");
    tokio::time::sleep(STARTS).await;
    users.asks(port.number(), "/", 10, 10).ends().await;
    scene.stays_quiet().await;
}
