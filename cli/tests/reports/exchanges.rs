//! Requests and answers over HTTP: who has failed to answer, what an answer was, and whose requests matter.

use std::time::Duration;

use bus_schema::Incident;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root, tells};

/// Longer than a program needs to start, and a caller to be known.
const SETTLES: Duration = Duration::from_secs(3);

/// As long as a load goes on.
const LOAD_SECONDS: u32 = 10;

/// Starts a program of this test's own.
fn runs(service: &Service, name: &str, arguments: &[&str]) -> Running {
    let script = program(name);
    service.run(&[&[PYTHON, &script], arguments].concat())
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn workers_that_fault_in_the_middle_of_requests_have_not_answered() {
    let scene = Scene::new("faults").await;
    let (app, gateway, port) = (scene.service("app"), scene.service("gw"), Scene::port());
    let _server = runs(&app, "fault.py", &[&port.number().to_string()]);
    tokio::time::sleep(SETTLES).await;
    let client = gateway.asks(port.number(), "/", 10, LOAD_SECONDS);
    client.ends().await;
    let is_fault = |incident: &Incident| {
        tells(incident, "gw", "http_unanswered", "")
            && root(incident).condition == "process_crashed"
            && root(incident).label == "app"
    };
    scene
        .has_one("app's processes end by SIGSEGV, and gw gets no answers", is_fault)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_sends_and_closes_at_once_wants_no_answer() {
    let scene = Scene::new("forgets").await;
    let (stats, shop, port) = (scene.service("stats"), scene.service("shop"), Scene::port());
    let _server = stats.serves(port.number());
    tokio::time::sleep(SETTLES).await;
    let arguments = [&*port.number().to_string(), "0", &LOAD_SECONDS.to_string()];
    runs(&shop, "forget.py", &arguments).ends().await;
    scene.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_waits_in_vain_and_closes_has_not_been_answered() {
    let scene = Scene::new("waits").await;
    let (stats, shop, port) = (scene.service("stats"), scene.service("shop"), Scene::port());
    let _server = runs(&stats, "silent.py", &[&port.number().to_string()]);
    tokio::time::sleep(SETTLES).await;
    // What has never worked may be starting, and is told later.
    let arguments = [&*port.number().to_string(), "0.1", "14"];
    runs(&shop, "forget.py", &arguments).ends().await;
    let is_unanswered = |incident: &Incident| tells(incident, "shop", "http_unanswered", "");
    scene
        .has_one("unanswered requests from shop to stats", is_unanswered)
        .await;
}

/// A service that becomes unready while somebody asks it.
async fn becomes_unready(scene: &Scene, group: &str, name: &str) {
    let (app, asks, port) = (scene.service("app"), scene.service(group), Scene::port());
    let server = runs(&app, "ready.py", &[&port.number().to_string()]);
    tokio::time::sleep(SETTLES).await;
    let (script, port) = (program("ask.py"), port.number().to_string());
    let client = runs(
        &asks,
        "called.py",
        &[name, &script, "127.0.0.1", &port, "/ready", "5", "10"],
    );
    tokio::time::sleep(SETTLES).await;
    server.signal(Signal::USR1);
    client.ends().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_only_kubelet_is_told_is_no_outage() {
    let scene = Scene::new("checked").await;
    becomes_unready(&scene, "kubelet.service", "kubelet").await;
    scene.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_users_are_told_is_an_outage() {
    let scene = Scene::new("used").await;
    becomes_unready(&scene, "users", "curl").await;
    let is_error = |incident: &Incident| tells(incident, "app", "http_5xx", "");
    scene.has_one("HTTP 503s from app", is_error).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_status_line_in_parts_is_read() {
    let scene = Scene::new("parts").await;
    let (api, gateway, port) = (scene.service("api"), scene.service("gw"), Scene::port());
    let port = port.number().to_string();
    let _server = runs(&api, "parts.py", &["serve", &port]);
    tokio::time::sleep(SETTLES).await;
    let _client = runs(&gateway, "parts.py", &["ask", &port]);
    // What has never worked may be starting, and is told later.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let is_error = |incident: &Incident| tells(incident, "api", "http_5xx", "");
    scene.has_one("HTTP 500s from api", is_error).await;
}
