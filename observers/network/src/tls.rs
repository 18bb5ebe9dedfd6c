//! Libraries that encrypt what processes say: found where a process is seen to speak TLS, in its own files.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bus_schema::event::node::Capability;
use ebpf::{Followed, Loaded};
use observer_base::files::open_inside;
use procfs::process::{MMapPath, Process};

use crate::unread;

/// Processes that are looked at in a second; of the others some come again.
const MOST_A_SECOND: u32 = 16;
/// Libraries that are followed at once; the one that is longest without a new process leaves.
const MOST_FOLLOWED: usize = 64;

/// Where libraries lie, in Debian, Fedora and Alpine.
const FOLDERS: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib",
    "usr/local/lib",
];
/// As their programs ask for them.
const LIBRARIES: [&str; 3] = ["libssl.so.3", "libssl.so.1.1", "libgnutls.so.30"];

/// A file: device and inode.
type FileId = (u64, u64);

/// What is found, and what is followed.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    /// Not followed yet. They are open: who has them may be gone soon.
    found: HashMap<FileId, (String, File)>,
    followed: HashMap<FileId, Library>,
    /// Those that cannot be followed.
    refused: HashSet<FileId>,
    /// Processes that were looked at in this second.
    looked_at: u32,
    second: u64,
}

#[derive(Debug)]
struct Library {
    probes: Followed,
    /// The second in which a process with it was seen last.
    seen: u64,
}

impl Tls {
    /// A process speaks TLS. Should it have ended already, it had its library from where others like it, whose files are in
    /// `view`, would have it.
    pub(crate) fn speaks(&mut self, pid: u32, view: &Path) {
        self.looked_at += 1;
        if self.looked_at > MOST_A_SECOND {
            return;
        }
        for file in libraries(pid).unwrap_or_else(|| installed(view)) {
            self.find(file);
        }
    }

    fn find(&mut self, (name, file): (String, File)) {
        let Ok(meta) = file.metadata() else {
            return;
        };
        let id = (meta.dev(), meta.ino());
        if let Some(known) = self.followed.get_mut(&id) {
            known.seen = self.second;
        } else if !self.refused.contains(&id) && self.found.len() < MOST_FOLLOWED {
            self.found.insert(id, (name, file));
        }
    }

    /// Follows what was found. Gives what cannot be seen if some of it cannot be followed.
    pub(crate) fn second(&mut self, loaded: &mut Loaded) -> Option<Capability> {
        self.second += 1;
        self.looked_at = 0;
        let mut refused = None;
        for (id, (name, file)) in std::mem::take(&mut self.found) {
            let reason = self.follow(loaded, id, &name, &file).err();
            refused = reason
                .map(|reason| unread::tls_library(&name, &reason))
                .or(refused);
        }
        refused
    }

    fn follow(&mut self, loaded: &mut Loaded, id: FileId, name: &str, file: &File) -> Result<(), String> {
        self.make_room(loaded);
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match loaded.follow_tls(name, Path::new(&path)) {
            Ok(probes) => {
                tracing::debug!(name, "library of TLS is followed");
                let seen = self.second;
                self.followed.insert(id, Library { probes, seen });
                Ok(())
            }
            Err(reason) => {
                tracing::warn!(
                    name,
                    reason,
                    "library of TLS cannot be followed: what is encrypted by it is not seen"
                );
                if self.refused.len() < MOST_FOLLOWED {
                    self.refused.insert(id);
                }
                Err(reason)
            }
        }
    }

    fn make_room(&mut self, loaded: &mut Loaded) {
        if self.followed.len() < MOST_FOLLOWED {
            return;
        }
        let oldest = self.followed.iter().min_by_key(|(_, library)| library.seen);
        let oldest = oldest.map(|(id, _)| *id);
        if let Some(library) = oldest.and_then(|id| self.followed.remove(&id)) {
            loaded.leave_tls(library.probes);
        }
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Libraries that encrypt in a process; `None` once it has ended.
fn libraries(pid: u32) -> Option<Vec<(String, File)>> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let maps = process.maps().ok().filter(|maps| maps.iter().count() > 0)?;
    let mut paths = BTreeSet::new();
    for map in maps {
        if let MMapPath::Path(path) = map.pathname
            && ebpf::is_tls_library(name_of(&path))
        {
            paths.insert(path);
        }
    }
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    Some(paths.iter().filter_map(|path| open(&root, path)).collect())
}

/// Libraries that encrypt, where distributions put them.
fn installed(view: &Path) -> Vec<(String, File)> {
    let folders = FOLDERS.iter().map(Path::new);
    folders
        .flat_map(|folder| LIBRARIES.map(|name| folder.join(name)))
        .filter_map(|path| open(view, &path))
        .collect()
}

fn open(root: &Path, path: &Path) -> Option<(String, File)> {
    let file = open_inside(root, path).ok()?;
    Some((name_of(path).to_owned(), file))
}
