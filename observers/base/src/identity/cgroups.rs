//! Where control groups are mounted, and which there are. A group's id is the inode number of its directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::Process;

/// Deeper than this no container runtime nests.
const DEEPEST: usize = 16;

/// The hierarchy that accounts for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its mount point.
    pub mount: PathBuf,
    /// Whether it is the unified one.
    pub is_unified: bool,
}

/// The memory hierarchy of cgroup v1 where there is one, else the unified one.
pub fn hierarchy() -> Option<Hierarchy> {
    of_mountinfo(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The same from the text of a mountinfo file.
fn of_mountinfo(mountinfo: &str) -> Option<Hierarchy> {
    let mounts: Vec<(PathBuf, &str, &str)> = mountinfo.lines().filter_map(mount).collect();
    let v1 = mounts
        .iter()
        .find(|(_, kind, options)| *kind == "cgroup" && options.split(',').any(|option| option == "memory"));
    let v2 = || mounts.iter().find(|(_, kind, _)| *kind == "cgroup2");
    let (mount, kind, _) = v1.or_else(v2)?;
    Some(Hierarchy {
        mount: mount.clone(),
        is_unified: *kind == "cgroup2",
    })
}

/// Mount point, type and super options of a line.
fn mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    Some((PathBuf::from(before.split(' ').nth(4)?), kind, after.nth(1)?))
}

/// The path of a process in the unified or in the memory hierarchy, from the text of `/proc/<pid>/cgroup`.
fn path_in(text: &str, is_unified: bool) -> Option<&str> {
    text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_wanted = if is_unified {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == "memory")
        };
        is_wanted.then_some(path)
    })
}

impl Hierarchy {
    /// Every group: its id, and its path below the mount point with a leading slash.
    pub fn groups(&self) -> Vec<(u64, PathBuf)> {
        let mut groups = Vec::new();
        self.visit(&self.mount, 0, &mut groups);
        groups
    }

    /// The group of a living process: its id and its path below the mount point.
    pub fn group_of(&self, pid: u32) -> Option<(u64, String)> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path = path_in(&text, self.is_unified)?;
        let metadata = fs::metadata(self.mount.join(path.trim_start_matches('/'))).ok()?;
        Some((metadata.ino(), path.to_owned()))
    }

    /// What the process runs that has lived longest of those in the group at `path` below the mount point.
    pub fn oldest_program(&self, path: &str) -> Option<String> {
        let folder = self.mount.join(path.trim_start_matches('/'));
        let pids = fs::read_to_string(folder.join("cgroup.procs")).ok()?;
        let processes = pids
            .lines()
            .filter_map(|pid| Process::new(pid.parse().ok()?).ok()?.stat().ok());
        let oldest = processes.min_by_key(|stat| (stat.starttime, stat.pid))?;
        Some(oldest.comm)
    }

    fn visit(&self, folder: &Path, depth: usize, groups: &mut Vec<(u64, PathBuf)>) {
        let Ok(metadata) = fs::metadata(folder) else {
            return;
        };
        let below = folder.strip_prefix(&self.mount).unwrap_or(folder);
        groups.push((metadata.ino(), Path::new("/").join(below)));
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in
            entries.filter(|entry| depth < DEEPEST && entry.file_type().is_ok_and(|kind| kind.is_dir()))
        {
            self.visit(&entry.path(), depth + 1, groups);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_hierarchy_wins_over_the_unified_one() {
        let hybrid = "31 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      32 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let unified = "32 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            of_mountinfo(hybrid).unwrap(),
            Hierarchy {
                mount: "/sys/fs/cgroup/memory".into(),
                is_unified: false
            }
        );
        assert_eq!(
            of_mountinfo(unified).unwrap(),
            Hierarchy {
                mount: "/sys/fs/cgroup".into(),
                is_unified: true
            }
        );
        assert_eq!(of_mountinfo("1 2 0:3 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn a_process_is_found_in_the_hierarchy_that_counts() {
        let hybrid = "4:memory:/shop/cache\n1:name=systemd:/\n0::/user.slice\n";
        assert_eq!(path_in(hybrid, false), Some("/shop/cache"));
        assert_eq!(path_in(hybrid, true), Some("/user.slice"));
        assert_eq!(path_in("garbage", true), None);
    }

    #[test]
    fn every_directory_is_a_group_with_its_inode() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let groups = Hierarchy {
            mount: root.path().to_owned(),
            is_unified: true,
        }
        .groups();
        let inode = fs::metadata(root.path().join("a/b")).unwrap().ino();
        assert!(groups.contains(&(inode, PathBuf::from("/a/b"))));
        assert_eq!(groups.len(), 3);
    }
}
