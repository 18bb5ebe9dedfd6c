//! Services of this host: control groups with processes that a supervisor, this test, has put there.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use cli::cgroup::Cgroup;
use rustix::process::{Pid, Signal, kill_process};

/// The interpreter of the distribution.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// A program of this test's own, by its file name.
pub(crate) fn program(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports/programs");
    folder.join(name).to_str().unwrap().to_owned()
}

/// A control group.
pub(crate) struct Service {
    pub(crate) group: Cgroup,
}

impl Service {
    /// A control group below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self {
            group: Cgroup::create(self.group.path(), name).unwrap(),
        }
    }

    /// Starts a command in the group from outside.
    pub(crate) fn run<A: AsRef<str>>(&self, command: &[A]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapio"));
        child
            .args(["__exec", "--parent", &std::process::id().to_string(), "--cgroup"])
            .arg(self.group.path())
            .arg("--")
            .args(command.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        Running(child.spawn().unwrap())
    }

    /// Starts an HTTP server.
    pub(crate) fn serves(&self, port: u16) -> Running {
        self.run(&[PYTHON, &program("serve.py"), &port.to_string()])
    }

    /// Starts a client of a server of this host.
    pub(crate) fn asks(&self, port: u16, path: &str, per_second: u32, seconds: u32) -> Running {
        self.asks_at("127.0.0.1", port, path, per_second, seconds)
    }

    /// Starts a client.
    pub(crate) fn asks_at(
        &self,
        host: &str,
        port: u16,
        path: &str,
        per_second: u32,
        seconds: u32,
    ) -> Running {
        let (script, port) = (program("ask.py"), port.to_string());
        let (per_second, seconds) = (per_second.to_string(), seconds.to_string());
        self.run(&[PYTHON, &script, host, &port, path, &per_second, &seconds])
    }

    /// Pids of its members.
    pub(crate) fn members(&self) -> Vec<Pid> {
        let members = std::fs::read_to_string(self.group.path().join("cgroup.procs")).unwrap();
        let pids = members.lines().filter_map(|pid| pid.parse().ok());
        pids.filter_map(Pid::from_raw).collect()
    }

    /// The members that run this executable.
    pub(crate) fn running(&self, name: &str) -> Vec<Pid> {
        let is_it = |pid: &Pid| executable(*pid).is_some_and(|path| path.to_string_lossy().contains(name));
        self.members().into_iter().filter(is_it).collect()
    }
}

fn executable(pid: Pid) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_pid())).ok()
}

/// A process that was started; it ends with its group.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    pub(crate) async fn ends(mut self) {
        tokio::task::spawn_blocking(move || self.0.wait().unwrap())
            .await
            .unwrap();
    }

    pub(crate) fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().unwrap()
    }
}

/// Asks a server of this host once, and does not wait for more than its answer or its end.
pub(crate) fn ask(port: u16, path: &str) {
    use std::io::{Read, Write};
    let mut connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 1024];
    // It may end instead of answering.
    let _ = connection.read(&mut answer);
}
