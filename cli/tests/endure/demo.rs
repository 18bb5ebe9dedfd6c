//! A running `tapio demo` whose children can be killed, and the store it leaves behind.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bus_schema::Incident;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::RwLockReadGuard;
use tokio::time::Instant;

use crate::server::{self, Server};
use crate::stage::files;
use crate::{host, wait_for, wait_within};

/// Its own deadline for the explanation is a minute; start, settling and end come on top.
const ENDS_WITHIN: Duration = Duration::from_secs(150);

/// Moments of the story of the leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeTheChange,
    AfterTheChange,
    Growth,
    OomKill,
    Opened,
}

impl Moment {
    pub(crate) const ALL: [Self; 5] = [
        Self::BeforeTheChange,
        Self::AfterTheChange,
        Self::Growth,
        Self::OomKill,
        Self::Opened,
    ];
}

/// The demonstration, its output and its temporary folder.
pub(crate) struct Demo {
    /// Where it is our own child.
    child: Option<Child>,
    pid: u32,
    folder: TempDir,
    _shares: RwLockReadGuard<'static, ()>,
}

impl Demo {
    /// Plays the leak. What it leaves is in a folder of its own.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let shares = host::TRAFFIC.read().await;
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapio"));
        command
            .args(["demo", "--json", "--healthy", "6s"])
            .args(arguments);
        let child = spawn(&mut command, &folder);
        Self {
            pid: child.id(),
            child: Some(child),
            folder,
            _shares: shares,
        }
    }

    /// Plays the leak as the child of a shell.
    pub(crate) async fn start_under_a_parent() -> (Self, Child) {
        let shares = host::TRAFFIC.read().await;
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{} demo --json --healthy 6s & wait", env!("CARGO_BIN_EXE_tapio"));
        let shell = spawn(Command::new("sh").args(["-c", &script]), &folder);
        let mut pid = None;
        wait_for("the shell starts the demonstration", async || {
            pid = host::child(shell.id(), "tapio");
            pid.is_some()
        })
        .await;
        let pid = pid.unwrap().as_raw_pid().cast_unsigned();
        (
            Self {
                child: None,
                pid,
                folder,
                _shares: shares,
            },
            shell,
        )
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn lives(&mut self) -> bool {
        match &mut self.child {
            Some(child) => child.try_wait().unwrap().is_none(),
            None => host::lives(self.pid),
        }
    }

    /// What it says beside its results.
    pub(crate) fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("err")).unwrap()
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("out")).unwrap();
        let parse = |line| serde_json::from_str(line).ok();
        text.lines().filter_map(parse).collect()
    }

    /// Waits until the story is there.
    pub(crate) async fn reaches(&mut self, moment: Moment) {
        let group = group(self.pid());
        wait_for(&format!("{moment:?}"), async || {
            assert!(self.lives(), "{}", self.notes());
            match moment {
                Moment::BeforeTheChange => self.notes().contains("the shop is open"),
                Moment::AfterTheChange => host::executables(&group).contains("v7.0"),
                Moment::Growth => host::memory(&group) > 32 << 20,
                Moment::OomKill => host::oom_kills(&group) > 0,
                Moment::Opened => !self.lines().is_empty(),
            }
        })
        .await;
    }

    /// Kills the child that runs `program`, SIGKILL.
    pub(crate) fn kill_child(&self, program: &str) {
        let pid = host::child(self.pid(), program).unwrap_or_else(|| panic!("{program} does not run"));
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ends(&mut self) {
        wait_within(ENDS_WITHIN, "the demonstration ends", async || !self.lives()).await;
    }

    /// Waits for its end and its approval, and gives a server on the store that it was told to keep.
    pub(crate) async fn succeeds(mut self) -> (Kept, Server) {
        self.ends().await;
        let status = self.child.as_mut().unwrap().wait().unwrap();
        if !status.success() {
            self.folder.disable_cleanup(true);
            let said: Vec<_> = self.lines().into_iter().rev().take(2).collect();
            panic!(
                "{said:#?}\n{}\nkept: {}",
                self.notes(),
                self.folder.path().display()
            );
        }
        let run = run_folder(&self.folder);
        let kept = Kept {
            pid: self.pid(),
            run: run.clone(),
            _folder: std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()),
        };
        (kept, Server::on(run.join("nats")))
    }

    /// Its folder and all that is in it.
    pub(crate) fn left_in_folder(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !["out", "err", "lock"].contains(&name.as_str()))
            .collect()
    }

    /// A nats-server that does not start while the file beside it exists.
    pub(crate) fn holdable_server() -> (TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (hold, program) = (folder.path().join("hold"), folder.path().join("nats-server"));
        let script = format!(
            "#!/bin/sh\nwhile [ -e {} ]; do sleep 0.1; done\nexec {} \"$@\"\n",
            hold.display(),
            server::binary().display()
        );
        std::fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        (folder, hold, program)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if self.lives() {
            self.signal(Signal::TERM);
            let deadline = Instant::now() + ENDS_WITHIN;
            while self.lives() && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
    }
}

fn spawn(command: &mut Command, folder: &TempDir) -> Child {
    let file = |name: &str| File::create(folder.path().join(name)).unwrap();
    let command = command
        .env("TMPDIR", folder.path())
        .env("TAPIO_LOCK", folder.path().join("lock"))
        .env("TAPIO_NATS_SERVER", server::binary())
        .stdout(file("out"))
        .stderr(file("err"))
        .stdin(Stdio::null());
    command.spawn().unwrap()
}

/// The store's folder, and whose it was.
pub(crate) struct Kept {
    pid: u32,
    run: PathBuf,
    _folder: TempDir,
}

impl Kept {
    /// Files that observers have not sent.
    pub(crate) fn spooled(&self) -> usize {
        let states = std::fs::read_dir(&self.run).unwrap().flatten();
        states.map(|state| files(&state.path().join("spool")).len()).sum()
    }

    /// Whether an incident is about the shop of that demonstration: others may go on on this host.
    pub(crate) fn concerns(&self, incident: &Incident) -> bool {
        let shop = format!("/tapio-demo-{}/", self.pid);
        let mut groups = incident
            .steps
            .iter()
            .filter_map(|step| step.entity.cgroup.as_ref());
        groups.any(|group| group.path.starts_with(&shop))
    }
}

fn group(pid: u32) -> PathBuf {
    let root = cli::cgroup::root().unwrap();
    root.join(format!("{}{pid}", cli::cgroup::PREFIX)).join("cache")
}

fn run_folder(folder: &TempDir) -> PathBuf {
    let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| path.is_dir()).unwrap()
}
