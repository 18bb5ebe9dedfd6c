//! What a control group uses and may use, from cgroupfs of either version.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Memory of one control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Charged memory without the page cache that the kernel would drop first: what a limit kills for.
    pub working_set_bytes: u64,
    /// Least limit of the group and its ancestors; `None` when there is none.
    pub limit_bytes: Option<u64>,
}

/// The file names of one cgroup version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    usage: &'static str,
    limit: &'static str,
    /// Key in `memory.stat` of the inactive file pages of the whole subtree.
    inactive_file: &'static str,
}

/// The unified hierarchy.
pub const V2: Version = Version {
    usage: "memory.current",
    limit: "memory.max",
    inactive_file: "inactive_file",
};
/// The memory controller of cgroup v1.
pub const V1: Version = Version {
    usage: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    inactive_file: "total_inactive_file",
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
        let droppable = field(&stat, self.inactive_file).unwrap_or(0);
        let limit_bytes = self.least_limit(mount, &folder);
        Ok(Usage {
            working_set_bytes: charged.unwrap_or(0).saturating_sub(droppable),
            limit_bytes,
        })
    }

    fn least_limit(self, mount: &Path, folder: &Path) -> Option<u64> {
        let groups = folder
            .ancestors()
            .take_while(|group| *group != mount)
            .map(Path::to_path_buf);
        let limits = groups.filter_map(|group: PathBuf| fs::read_to_string(group.join(self.limit)).ok());
        limits
            .filter_map(|text| number(&text))
            .filter(|limit| *limit < UNLIMITED_BYTES)
            .min()
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
    fn the_least_limit_of_all_ancestors_counts_and_droppable_cache_does_not() {
        let root = tempfile::tempdir().unwrap();
        let child = root.path().join("pod/app");
        fs::create_dir_all(&child).unwrap();
        fs::write(root.path().join("cgroup.controllers"), "memory").unwrap();
        fs::write(root.path().join("pod/memory.max"), "1000\n").unwrap();
        fs::write(child.join("memory.max"), "max\n").unwrap();
        fs::write(child.join("memory.current"), "900\n").unwrap();
        fs::write(
            child.join("memory.stat"),
            "anon 500\ninactive_file 300\nactive_file 100\n",
        )
        .unwrap();
        let version = Version::of_mount(root.path());
        assert_eq!(version, V2);
        assert_eq!(
            version.read(root.path(), "/pod/app").unwrap(),
            Usage {
                working_set_bytes: 600,
                limit_bytes: Some(1000)
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
        fs::write(group.join("memory.stat"), "total_inactive_file 4\n").unwrap();
        let usage = Version::of_mount(root.path()).read(root.path(), "/app").unwrap();
        assert_eq!(
            usage,
            Usage {
                working_set_bytes: 6,
                limit_bytes: None
            }
        );
    }
}
