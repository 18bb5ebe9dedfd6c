//! What a control group uses and may use, from cgroupfs of either version.

use std::path::Path;
use std::{fs, io};

/// Memory of one control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Charged memory that the kernel cannot take back without swap: not the page cache, used lately or not, and not the slabs
    /// that can be shrunk. What a limit kills for.
    pub kept_bytes: u64,
    /// Least limit of the group and its ancestors; `None` when there is none.
    pub limit: Option<Limit>,
}

/// A limit, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Bytes.
    pub bytes: u64,
    /// Path of the group that has it, with a leading slash.
    pub group: String,
}

/// The file names of one cgroup version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    usage: &'static str,
    limit: &'static str,
    /// Keys in `memory.stat` of what can be taken back from the whole subtree. Pages of tmpfs are none of these.
    reclaimable: &'static [&'static str],
}

/// The unified hierarchy.
pub const V2: Version = Version {
    usage: "memory.current",
    limit: "memory.max",
    reclaimable: &["inactive_file", "active_file", "slab_reclaimable"],
};
/// The memory controller of cgroup v1.
pub const V1: Version = Version {
    usage: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    reclaimable: &["total_inactive_file", "total_active_file"],
};

/// v1 says "no limit" with the largest number of pages; anything near it is none.
const UNLIMITED_BYTES: u64 = 1 << 62;

impl Version {
    /// The version of the hierarchy that is mounted at `mount`.
    pub fn of_mount(mount: &Path) -> Self {
        if mount.join("cgroup.controllers").exists() {
            V2
        } else {
            V1
        }
    }

    /// Reads the group `path` (with a leading slash) below `mount`.
    ///
    /// # Errors
    /// Those of reading its files; `NotFound` when the group is gone or has no memory controller.
    pub fn read(self, mount: &Path, path: &str) -> io::Result<Usage> {
        let folder = mount.join(path.trim_start_matches('/'));
        let charged = number(&fs::read_to_string(folder.join(self.usage))?);
        let stat = fs::read_to_string(folder.join("memory.stat"))?;
        let reclaimable: u64 = self.reclaimable.iter().filter_map(|key| field(&stat, key)).sum();
        Ok(Usage {
            kept_bytes: charged.unwrap_or(0).saturating_sub(reclaimable),
            limit: self.least_limit(mount, &folder),
        })
    }

    fn least_limit(self, mount: &Path, folder: &Path) -> Option<Limit> {
        let groups = folder.ancestors().take_while(|group| *group != mount);
        let limits = groups.filter_map(|group| {
            let text = fs::read_to_string(group.join(self.limit)).ok()?;
            let bytes = number(&text).filter(|limit| *limit < UNLIMITED_BYTES)?;
            let below_mount = group.strip_prefix(mount).ok()?;
            Some(Limit {
                bytes,
                group: format!("/{}", below_mount.display()),
            })
        });
        limits.min_by_key(|limit| limit.bytes)
    }
}

/// `None` for `max`.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn field(stat: &str, key: &str) -> Option<u64> {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    number(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_ancestors_counts_and_what_can_be_taken_back_does_not() {
        let root = tempfile::tempdir().unwrap();
        let child = root.path().join("pod/app");
        fs::create_dir_all(&child).unwrap();
        fs::write(root.path().join("cgroup.controllers"), "memory").unwrap();
        fs::write(root.path().join("pod/memory.max"), "1000\n").unwrap();
        fs::write(child.join("memory.max"), "max\n").unwrap();
        fs::write(child.join("memory.current"), "900\n").unwrap();
        fs::write(
            child.join("memory.stat"),
            "anon 400\nshmem 100\ninactive_file 300\nactive_file 50\nslab_reclaimable 50\nslab_unreclaimable 0\n",
        )
        .unwrap();
        let version = Version::of_mount(root.path());
        assert_eq!(version, V2);
        assert_eq!(
            version.read(root.path(), "/pod/app").unwrap(),
            Usage {
                kept_bytes: 500,
                limit: Some(Limit {
                    bytes: 1000,
                    group: "/pod".to_owned()
                })
            }
        );
        assert_eq!(
            version.read(root.path(), "/gone").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn version_1_says_unlimited_with_a_huge_number() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("app");
        fs::create_dir(&group).unwrap();
        fs::write(group.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(group.join("memory.usage_in_bytes"), "10\n").unwrap();
        fs::write(
            group.join("memory.stat"),
            "total_inactive_file 4\ntotal_active_file 1\n",
        )
        .unwrap();
        let usage = Version::of_mount(root.path()).read(root.path(), "/app").unwrap();
        assert_eq!(
            usage,
            Usage {
                kept_bytes: 5,
                limit: None
            }
        );
    }
}
