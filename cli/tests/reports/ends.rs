//! How processes end without having crashed.

use rustix::process::Signal;

use crate::host::{PYTHON, program};
use crate::scene::{Scene, root};

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_job_that_ends_with_1_is_no_incident() {
    let scene = Scene::new("job").await;
    let check = scene.service("check");
    for _ in 0..3 {
        check
            .run(&["grep", "-q", "no such word", "/etc/hostname"])
            .ends()
            .await;
    }
    scene.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn an_abort_is_nobody_elses_signal() {
    let scene = Scene::new("abort").await;
    let app = scene.service("app");
    app.run(&[PYTHON, "-c", "import os, time; time.sleep(3); os.abort()"])
        .ends()
        .await;
    let is_crash = |incident: &_| root(incident).condition == "process_crashed";
    scene.has_one("app crashed by SIGABRT", is_crash).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_crash_handler_that_raises_the_signal_again_is_no_sender() {
    let scene = Scene::new("raised-again").await;
    let app = scene.service("app");
    let script =
        "import faulthandler, ctypes, time; faulthandler.enable(); time.sleep(3); ctypes.string_at(0)";
    app.run(&[PYTHON, "-c", script]).ends().await;
    let is_crash = |incident: &_| root(incident).condition == "process_crashed";
    scene.has_one("app crashed by SIGSEGV", is_crash).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_a_shell_passes_on_of_an_oom_kill_is_that_oom_kill() {
    let scene = Scene::new("passed-on").await;
    let app = scene.service("app");
    app.group.limit(64 << 20).unwrap();
    let script = format!("{PYTHON} {}; exit $?", program("grow.py"));
    app.run(&["sh", "-c", &script]).ends().await;
    let is_one = |incident: &bus_schema::Incident| {
        let tells = |condition| incident.steps.iter().any(|step| step.condition == condition);
        tells("oom_kill") && root(incident).condition != "process_crashed"
    };
    scene
        .has_one(
            "memory grew, OOM kill of app, and app ended (exit status 137)",
            is_one,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_stop_that_was_asked_for_is_a_stop_whatever_the_exit_status() {
    let scene = Scene::new("stopped").await;
    let worker = scene.service("worker");
    let script = "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(1)); time.sleep(600)";
    let process = worker.run(&[PYTHON, "-c", script]);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    process.signal(Signal::TERM);
    process.ends().await;
    scene.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_supervisor_may_stop_with_another_signal() {
    let scene = Scene::new("quit").await;
    let (api, port) = (scene.service("api"), Scene::port());
    let server = api.serves(port.number());
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    server.signal(Signal::QUIT);
    server.ends().await;
    scene.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_hangs_a_service_up_and_is_no_supervisor_is_told() {
    let scene = Scene::new("hung-up").await;
    let (api, port) = (scene.service("api"), Scene::port());
    let server = api.serves(port.number());
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let script = format!("kill -HUP {}", server.pid());
    let rotation = scene.service("rotation");
    rotation.run(&["sh", "-c", &script]).ends().await;
    server.ends().await;
    let is_sent = |incident: &_| root(incident).condition == "signal_sent";
    scene
        .has_one("SIGHUP sent to api by sh of rotation", is_sent)
        .await;
}
