//! A role as a child process that is gone when the test is, and waiting for a condition with a deadline.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One running role.
pub(crate) struct Role {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Role {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapio-shop"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built with the tests");
        let out = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, out }
    }

    /// A server on a free port, and where it listens.
    pub(crate) fn serve(args: &[&str]) -> (Self, SocketAddr) {
        let mut role = Self::start(&[args, &["--listen", "127.0.0.1:0"]].concat());
        let address = role.line()["listening"].as_str().unwrap().parse().unwrap();
        (role, address)
    }

    /// The next JSON line on stdout.
    pub(crate) fn line(&mut self) -> Value {
        serde_json::from_str(&self.out.next().expect("the role ended").unwrap()).unwrap()
    }

    /// All JSON lines up to the role's own end.
    pub(crate) fn lines_to_the_end(mut self) -> Vec<Value> {
        let lines = self
            .out
            .by_ref()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }

    pub(crate) fn id(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Resident memory that it has written; without its program's pages, of which a debug build has many.
    pub(crate) fn resident_kib(&self) -> u64 {
        procfs::process::Process::new(self.id())
            .unwrap()
            .status()
            .unwrap()
            .rssanon
            .unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("the role's end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // it may have ended by itself
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Looks again and again until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..DEADLINE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    panic!("waited {DEADLINE:?} in vain for {what}");
}

/// The JSON lines of an access log.
pub(crate) fn entries(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
