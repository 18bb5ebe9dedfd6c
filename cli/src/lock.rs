//! One pipeline per host: a locked file that says who holds it. The kernel unlocks it when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use bus_schema::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// What the file says about its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// `up` or `demo`.
    pub command: String,
    /// Where its bus is, once that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats_url: Option<String>,
}

/// The lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    holder: Holder,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has it.
    #[error("a pipeline already runs on this host: tapio {command}, pid {pid}, since {since} ({path})")]
    Held {
        /// Its process.
        pid: u32,
        /// Since when.
        since: Timestamp,
        /// What it runs.
        command: String,
        /// The file.
        path: PathBuf,
    },
    /// Somebody has it who has not said who he is.
    #[error("a pipeline already runs on this host and holds {0}")]
    HeldByStranger(PathBuf),
    /// The file cannot be made or written.
    #[error("cannot write the lock file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// Root's lock: the whole machine's.
const MACHINE: &str = "/run/tapio.lock";

/// Where the lock is: the machine's runtime folder for root, the user's own for others.
pub fn default_path() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from(MACHINE);
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join("tapio.lock")
}

/// Who runs a pipeline here: under the lock named by `TAPIO_LOCK`, else one's own or root's.
pub fn running() -> Option<Holder> {
    let told = std::env::var_os("TAPIO_LOCK").map(PathBuf::from);
    told.map_or_else(
        || holder(&default_path()).or_else(|| holder(Path::new(MACHINE))),
        |path| holder(&path),
    )
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(path: &Path, holder: Holder) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let mut open = OpenOptions::new();
        let mut file = open
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(&mut file, path)),
            Err(other) => return Err(failed(other.into())),
        }
        let mut lock = Self { file, holder };
        lock.write().map_err(failed)?;
        Ok(lock)
    }

    /// Tells others where the bus is.
    pub fn announce(&mut self, nats_url: &str) -> std::io::Result<()> {
        self.holder.nats_url = Some(nats_url.to_owned());
        self.write()
    }

    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self.holder)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file names nobody; that it stays is harmless, removing it would race with the next holder.
        let _ = self.file.set_len(0);
    }
}

/// Who holds the lock, if anybody does.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => read(&mut file),
        Ok(()) | Err(_) => None,
    }
}

fn held(file: &mut File, path: &Path) -> Error {
    match read(file) {
        Some(holder) => Error::Held {
            pid: holder.pid,
            since: holder.since,
            command: holder.command,
            path: path.to_owned(),
        },
        None => Error::HeldByStranger(path.to_owned()),
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(pid: u32) -> Holder {
        Holder {
            pid,
            since: Timestamp(1_700_000_000_000_000_000),
            command: "up".into(),
            nats_url: None,
        }
    }

    #[test]
    fn the_second_holder_hears_who_the_first_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut first = Lock::take(&path, somebody(4711)).unwrap();
        let refused = Lock::take(&path, somebody(4712)).unwrap_err();
        assert!(matches!(refused, Error::Held { pid: 4711, .. }), "{refused}");
        first.announce("nats://127.0.0.1:4333").unwrap();
        assert_eq!(
            holder(&path).and_then(|holder| holder.nats_url).as_deref(),
            Some("nats://127.0.0.1:4333")
        );
        drop(first);
        assert_eq!(holder(&path), None);
        Lock::take(&path, somebody(4712)).unwrap();
    }
}
