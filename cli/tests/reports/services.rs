//! Which program of a control group is the service: what serves, not what helps it to start.

use rustix::process::Signal;

use crate::host::{PYTHON, ask, program};
use crate::scene::{Scene, root};

/// Longer than a program needs to settle.
const SETTLES: std::time::Duration = std::time::Duration::from_secs(3);

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_wrapper_that_becomes_the_service_is_no_new_executable() {
    let scene = Scene::new("wrapper").await;
    let (api, port) = (scene.service("api"), Scene::port());
    let wrapped = format!(
        "sleep 1.2; exec {PYTHON} {} {}",
        program("serve.py"),
        port.number()
    );
    let first = api.run(&["sh", "-c", &wrapped]);
    tokio::time::sleep(SETTLES).await;
    first.signal(Signal::TERM);
    first.ends().await;
    let second = api.run(&["sh", "-c", &wrapped]);
    tokio::time::sleep(SETTLES).await;
    ask(port.number(), "/exit");
    second.ends().await;
    let is_crash = |incident: &_| root(incident).condition == "process_crashed";
    scene
        .has_one("api ended with 1, and nothing was changed", is_crash)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_helper_that_prepares_the_start_is_no_version_of_the_service() {
    let scene = Scene::new("prepared").await;
    let (api, port) = (scene.service("api"), Scene::port());
    api.run(&["true"]).ends().await;
    let server = api.serves(port.number());
    tokio::time::sleep(SETTLES).await;
    ask(port.number(), "/exit");
    server.ends().await;
    let is_crash = |incident: &_| root(incident).condition == "process_crashed";
    scene
        .has_one("api ended with 1, and nothing was changed", is_crash)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_killed_what_a_shell_supervises_is_told() {
    let scene = Scene::new("supervised").await;
    let (app, gateway, port) = (scene.service("app"), scene.service("gw"), Scene::port());
    let keeps = format!(
        "while :; do {PYTHON} {} {}; sleep 5; done",
        program("serve.py"),
        port.number()
    );
    let _shell = app.run(&["sh", "-c", &keeps]);
    tokio::time::sleep(SETTLES).await;
    let _client = gateway.asks(port.number(), "/", 20, 30);
    tokio::time::sleep(SETTLES * 2).await;
    for pid in app.running("python3") {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let is_signal = |incident: &_| root(incident).condition == "signal_sent" && root(incident).label == "app";
    scene.has_one("SIGKILL sent to app by reports", is_signal).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_killed_a_daemon_that_forked_away_is_told() {
    let scene = Scene::new("daemon").await;
    let (app, gateway, port) = (scene.service("app"), scene.service("gw"), Scene::port());
    let number = port.number().to_string();
    app.run(&[PYTHON, &program("daemon.py"), &number]).ends().await;
    tokio::time::sleep(SETTLES).await;
    let _client = gateway.asks(port.number(), "/", 20, 30);
    tokio::time::sleep(SETTLES).await;
    for pid in app.running("python3") {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let is_signal = |incident: &_| root(incident).condition == "signal_sent" && root(incident).label == "app";
    scene.has_one("SIGKILL sent to app by reports", is_signal).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn of_two_programs_in_one_group_the_one_that_ended_is_told_and_none_is_new() {
    let scene = Scene::new("together").await;
    let (app, one, other) = (scene.service("app"), Scene::port(), Scene::port());
    let serve = |port: u16| format!("{PYTHON} {} {port}", program("serve.py"));
    let both = format!(
        "{} & {} & wait; sleep 100",
        serve(one.number()),
        serve(other.number())
    );
    let _shell = app.run(&["sh", "-c", &both]);
    tokio::time::sleep(SETTLES).await;
    ask(one.number(), "/exit");
    let is_crash = |incident: &_| root(incident).condition == "process_crashed";
    scene
        .has_one("a program of app ended with 1, and nothing was changed", is_crash)
        .await;
}
