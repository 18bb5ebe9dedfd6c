//! What fills a limit: who grew, and what the kernel could have taken back.

use crate::host::{PYTHON, program};
use crate::scene::{Scene, root};

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_filled_a_shared_limit_is_blamed_and_not_whom_the_kernel_chose() {
    let scene = Scene::new("shared-limit").await;
    let pod = scene.service("pod");
    pod.group.limit(128 << 20).unwrap();
    let (main, sidecar) = (pod.below("main"), pod.below("sidecar"));
    let port = Scene::port();
    let chosen = format!(
        "echo 1000 > /proc/self/oom_score_adj; exec {PYTHON} {} {}",
        program("serve.py"),
        port.number()
    );
    let killed = sidecar.run(&["sh", "-c", &chosen]);
    let _grows = main.run(&[PYTHON, &program("grow.py")]);
    killed.ends().await;
    let is_leak =
        |incident: &_| root(incident).condition == "memory_growth" && root(incident).label == "main";
    scene
        .has_one(
            "memory grew in main until the limit of pod was reached: OOM kill of sidecar",
            is_leak,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn files_that_are_read_are_no_leak() {
    let scene = Scene::new("files-read").await;
    let report = scene.service("report");
    report.group.limit(300 << 20).unwrap();
    report.run(&[PYTHON, &program("read_files.py")]).ends().await;
    let is_kill = |incident: &_| root(incident).condition == "oom_kill";
    scene
        .has_one("OOM kill of report, which no growth led to", is_kill)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn files_in_memory_are_a_leak() {
    let scene = Scene::new("files-in-memory").await;
    let app = scene.service("app");
    app.group.limit(64 << 20).unwrap();
    app.run(&[PYTHON, &program("fill_tmpfs.py")]).ends().await;
    let is_leak = |incident: &_| root(incident).condition == "memory_growth";
    scene.has_one("memory grew in app, OOM kill", is_leak).await;
}
