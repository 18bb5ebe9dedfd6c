//! The cluster as its users change it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::Client;

/// How long anything of the cluster is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn client() -> Client {
    Client::try_default().await.unwrap()
}

/// A command as somebody pastes it, in the namespace `$N`. Gives what it prints.
pub(crate) fn shell(namespace: &str, command: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", command])
        .env("N", namespace)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{namespace}: {command}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes or changes objects in a namespace.
pub(crate) fn apply(namespace: &str, objects: &str) {
    let mut kubectl = Command::new("kubectl")
        .args(["-n", namespace, "apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kubectl
        .stdin
        .take()
        .unwrap()
        .write_all(objects.as_bytes())
        .unwrap();
    let output = kubectl.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{namespace}: {said}\n{objects}");
}

/// Makes a namespace in which pods can be made.
pub(crate) fn namespace(name: &str) {
    shell(
        name,
        "kubectl delete namespace $N --ignore-not-found --wait > /dev/null
         kubectl create namespace $N > /dev/null
         kubectl -n $N wait --for=create serviceaccount/default --timeout=60s > /dev/null",
    );
}

pub(crate) async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let all = async {
        while !is_so() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, all).await.is_ok(),
        "not in time: {what}"
    );
}

/// The API server of the lab is ended and started again; `false` where it is somebody else's.
pub(crate) async fn restart_api_server() -> bool {
    let lab = std::env::var_os("TAPIO_LAB").unwrap_or_else(|| "/var/tmp/tapio-lab".into());
    let log = PathBuf::from(lab).join("log");
    let Ok(pid) = std::fs::read_to_string(log.join("apiserver.pid")) else {
        return false;
    };
    let process = PathBuf::from("/proc").join(pid.trim());
    let command = std::fs::read_to_string(process.join("cmdline")).unwrap();
    let mut words = command.split_terminator('\0');
    // Asked to end, it waits for a minute for its watches.
    shell("", &format!("kill -9 {pid}"));
    wait_for("the API server has ended", || !process.exists()).await;
    let output = std::fs::File::create(log.join("apiserver.log")).unwrap();
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    std::fs::write(log.join("apiserver.pid"), child.id().to_string()).unwrap();
    // It stays when this test is over; until then its end is noticed.
    std::thread::spawn(move || child.wait());
    wait_for("the API server is ready", || {
        let ready = Command::new("kubectl").args(["get", "--raw", "/readyz"]).output();
        ready.unwrap().status.success()
    })
    .await;
    true
}

/// Says that a part of a test was not played.
pub(crate) fn skip(reason: &str) {
    println!("SKIP: {reason}");
    if let Some(path) = std::env::var_os("TAPIO_SKIPS") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "SKIP: {reason}").unwrap();
    }
}
