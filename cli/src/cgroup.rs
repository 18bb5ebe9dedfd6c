//! A memory control group, of either version: made, limited, emptied, removed; and what the kernel counted in it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Trees of demonstrations are known by this name, followed by the pid.
pub const PREFIX: &str = "tapio-demo-";
/// A killed process is gone after this long.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// Why a control group is not as asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} control group {path}")]
pub struct Error {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Error {
    /// What sort of failure the system reported.
    pub fn source_kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// One directory of the memory hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroup {
    path: PathBuf,
}

/// Where memory control groups are: the v1 hierarchy, or the unified one if that has the controller.
pub fn root() -> Option<PathBuf> {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.join("memory.limit_in_bytes").is_file() || v1.join("cgroup.procs").is_file() {
        return Some(v1.to_owned());
    }
    let v2 = Path::new("/sys/fs/cgroup");
    let controllers = std::fs::read_to_string(v2.join("cgroup.controllers")).ok()?;
    controllers
        .split_whitespace()
        .any(|name| name == "memory")
        .then(|| v2.to_owned())
}

impl Cgroup {
    /// Makes the group below `parent`, with the memory controller where that has to be asked for.
    pub fn create(parent: &Path, name: &str) -> Result<Self, Error> {
        let group = Self {
            path: parent.join(name),
        };
        let control = parent.join("cgroup.subtree_control");
        if control.is_file() {
            std::fs::write(&control, "+memory")
                .map_err(|source| group.failed("get memory control for", source))?;
        }
        std::fs::create_dir(&group.path).map_err(|source| group.failed("make", source))?;
        Ok(group)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the limit, of swap too where it is counted.
    pub fn limit(&self, bytes: u64) -> Result<(), Error> {
        let is_v1 = self.path.join("memory.limit_in_bytes").is_file();
        let (limit, swap, no_swap) = if is_v1 {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes)
        } else {
            ("memory.max", "memory.swap.max", 0)
        };
        let write = |file: &str, value: u64| std::fs::write(self.path.join(file), value.to_string());
        write(limit, bytes).map_err(|source| self.failed("limit", source))?;
        if self.path.join(swap).is_file() {
            write(swap, no_swap).map_err(|source| self.failed("limit the swap of", source))?;
        }
        Ok(())
    }

    /// How many processes the kernel has killed here for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let read = |file: &str| std::fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let text = format!("{}\n{}", read("memory.events"), read("memory.oom_control"));
        let mut counts = text.lines().filter_map(|line| line.strip_prefix("oom_kill "));
        counts
            .next()
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Kills what is left in the group and all below it, and removes them.
    pub async fn remove(&self) -> Result<(), Error> {
        let gone = wait::until(EMPTY_WITHIN, async || remove_tree(&self.path).is_ok()).await;
        if gone {
            return Ok(());
        }
        remove_tree(&self.path).map_err(|source| self.failed("remove", source))
    }

    fn failed(&self, attempt: &'static str, source: io::Error) -> Error {
        Error {
            attempt,
            path: self.path.clone(),
            source,
        }
    }
}

/// Once: kills all members, deepest first, and removes what is empty. A group with a dying member fails and is retried.
fn remove_tree(path: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    for pid in std::fs::read_to_string(path.join("cgroup.procs"))?.lines() {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    std::fs::remove_dir(path)
}

/// Removes the trees of demonstrations whose process no longer lives; returns how many.
pub async fn sweep(root: &Path) -> usize {
    let mut removed = 0;
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if pid.is_some_and(|pid| !lives(pid)) {
            let group = Cgroup { path: entry.path() };
            removed += usize::from(group.remove().await.is_ok());
        }
    }
    removed
}

/// Whether a process of that number exists.
pub(crate) fn lives(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
