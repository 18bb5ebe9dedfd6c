//! The cluster as its users see it: kubectl, the nats CLI, and `tapio explain`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bus_schema::{Incident, Timestamp};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(200);

/// What `condition` gives, as soon as it gives something.
pub(crate) fn wait_for<T>(within: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::park_timeout(PAUSE);
    }
}

pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(now.as_nanos()).unwrap())
}

/// The output of a command that succeeds.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn kubectl(arguments: &[&str]) -> String {
    output(Command::new("kubectl").args(arguments))
}

/// A command as somebody pastes it.
pub(crate) fn shell(command: &str) -> String {
    output(Command::new("sh").args(["-c", command]))
}

/// Why the first container of a pod ended last, by kubelet.
pub(crate) fn last_end_of(pod: &str) -> String {
    let path = "jsonpath={.status.containerStatuses[0]['state','lastState'].terminated.reason}";
    let reasons = wait_for(Duration::from_secs(20), || {
        let reasons = kubectl(&["-n", "shop", "get", "pod", pod, "-o", path]);
        (!reasons.is_empty()).then_some(reasons)
    });
    let reasons = reasons.unwrap_or_default();
    reasons.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The bus with the user that may only read.
fn bus() -> String {
    let password = kubectl(&[
        "-n",
        "tapio",
        "get",
        "secret",
        "tapio-auth",
        "-o",
        "go-template={{.data.reader | base64decode}}",
    ]);
    let address = kubectl(&[
        "-n",
        "tapio",
        "get",
        "service",
        "tapio-nats",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    format!("nats://reader:{password}@{address}:4222")
}

pub(crate) fn explain(incident: &Incident) -> String {
    output(Command::new(env!("CARGO_BIN_EXE_tapio")).args([
        "--nats-url",
        &bus(),
        "explain",
        &incident.id.to_string(),
    ]))
}

/// Every revision of the shop's namespace since the start, by the nats CLI; the node may have troubles of its own.
pub(crate) struct Incidents {
    tail: Child,
    seen: Arc<Mutex<Vec<Incident>>>,
}

impl Incidents {
    pub(crate) fn follow() -> Self {
        let mut tail = Command::new("nats")
            .args(["--server", &bus(), "sub", "tapio.incidents.*.shop.>", "--raw"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let seen = Arc::<Mutex<Vec<Incident>>>::default();
        let known = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| !line.is_empty()) {
                known.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { tail, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Incident> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Incidents {
    fn drop(&mut self) {
        // It is gone already only if the bus is.
        let _ = self.tail.kill();
        let _ = self.tail.wait();
    }
}
