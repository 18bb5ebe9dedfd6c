//! One `tapio up` for all who play at the same time.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};

use bus_schema::Incident;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::comes_true;

static RUNNING: Mutex<Weak<Pipeline>> = Mutex::const_new(Weak::new());

/// A running pipeline; it ends with the last who shares it.
pub(crate) struct Pipeline {
    child: Child,
    folder: TempDir,
}

impl Pipeline {
    /// The one that runs, or a new one.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut running = RUNNING.lock().await;
        if let Some(pipeline) = running.upgrade() {
            return pipeline;
        }
        let pipeline = Arc::new(Self::start().await);
        *running = Arc::downgrade(&pipeline);
        pipeline
    }

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        let mut command = tapio(&folder);
        command
            .arg("up")
            .stdout(Stdio::null())
            .stderr(File::create(&notes).unwrap());
        let pipeline = Self {
            child: command.spawn().unwrap(),
            folder,
        };
        let said = || std::fs::read_to_string(&notes).unwrap();
        let ready = comes_true(async || said().contains("ready: ")).await;
        assert!(ready, "{}", said());
        pipeline
    }

    /// The folder below which it finds the files of the host.
    pub(crate) fn host_root(&self) -> PathBuf {
        host_root(&self.folder)
    }

    /// The newest revision of every incident.
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        let output = tapio(&self.folder)
            .args(["--json", "incidents"])
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // It stops its children in order.
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// The command, which finds the pipeline by the lock in that folder.
fn tapio(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapio"));
    command
        .env("TMPDIR", folder.path())
        .env("TAPIO_LOCK", folder.path().join("lock"))
        .env("TAPIO_HOST_ROOT", host_root(folder))
        .stdin(Stdio::null());
    command
}

fn host_root(folder: &TempDir) -> PathBuf {
    folder.path().join("host")
}
