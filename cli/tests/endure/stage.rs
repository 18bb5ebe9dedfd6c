//! One process of the pipeline, started as an operator would, killed and started again on demand.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cli::port::Port;
use tempfile::TempDir;

use crate::server::Server;
use crate::wait_for;

/// A process with its folder; killed when dropped.
pub(crate) struct Stage {
    program: &'static str,
    environment: Vec<(String, String)>,
    folder: TempDir,
    health: Port,
    child: Option<Child>,
}

impl Stage {
    /// Starts `program`, which finds the bus at `server`.
    pub(crate) fn start(program: &'static str, server: &Server, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let health = Port::keep().unwrap();
        let pairs = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut all = vec![
            ("TAPIO_NATS_URL".to_owned(), server.url()),
            ("TAPIO_HEALTH_ADDR".to_owned(), health.address().to_string()),
            (
                "TAPIO_STATE_DIR".to_owned(),
                folder.path().join("state").display().to_string(),
            ),
            ("TAPIO_NODE".to_owned(), "test".to_owned()),
            ("TAPIO_KUBERNETES".to_owned(), "no".to_owned()),
            ("TAPIO_DIE_WITH_PARENT".to_owned(), "1".to_owned()),
        ];
        all.extend(pairs);
        let mut stage = Self {
            program,
            environment: all,
            folder,
            health,
            child: None,
        };
        stage.revive();
        stage
    }

    /// Starts it with the same configuration.
    pub(crate) fn revive(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let mut command = Command::new(beside(self.program));
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        self.child = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            assert!(child.wait().unwrap().success(), "{}", self.log());
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn ready(&self) {
        wait_for(&format!("{} is ready", self.program), async || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        })
        .await;
    }

    /// Status and body of a page; `None` while nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.health.address()).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Sum of the lines of `/metrics` that contain all of `parts`.
    pub(crate) fn metric(&self, parts: &[&str]) -> u64 {
        let (_, page) = self.get("/metrics").unwrap_or_default();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let fitting = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        fitting.filter_map(value).sum()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Files of the spool.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        files(&self.state())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- {} ---\n{}", self.program, self.log());
        }
    }
}

/// A binary of the workspace: beside that of this package.
pub(crate) fn beside(program: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_tapio")).with_file_name(program)
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries
        .map(|entry| entry.path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.collect()
}
