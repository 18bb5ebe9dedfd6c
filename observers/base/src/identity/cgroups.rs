//! Where control groups are mounted, and which there are. A group's id is the inode number of its directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::{Process, Stat};

/// Deeper than this no container runtime nests.
const DEEPEST: usize = 16;

/// The hierarchy that accounts for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its mount point.
    pub mount: PathBuf,
    /// Whether it is the unified one.
    pub is_unified: bool,
    /// Path below the mount point at which this process's cgroup namespace begins: `/proc` tells paths relative to it.
    pub namespace: PathBuf,
}

/// The memory hierarchy of cgroup v1 where there is one, else the unified one.
pub fn hierarchy() -> Option<Hierarchy> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (mut hierarchy, root) = of_mountinfo(&mountinfo)?;
    // A container has a namespace of its own unless it is privileged, and above it lies what the mount begins with.
    if root.starts_with("/..") {
        if let Some(namespace) = hierarchy.namespace_of_self() {
            hierarchy.namespace = namespace;
        } else {
            tracing::warn!(
                mount = %hierarchy.mount.display(),
                "this process is in none of its control groups; it needs the host's process ids (hostPID)"
            );
        }
    }
    Some(hierarchy)
}

/// The hierarchy, and which path of it is mounted, from the text of a mountinfo file.
fn of_mountinfo(mountinfo: &str) -> Option<(Hierarchy, &str)> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(mount).collect();
    let v1 = mounts
        .iter()
        .find(|mount| mount.kind == "cgroup" && mount.options.split(',').any(|option| option == "memory"));
    let v2 = || mounts.iter().find(|mount| mount.kind == "cgroup2");
    let chosen = v1.or_else(v2)?;
    let hierarchy = Hierarchy {
        mount: chosen.point.into(),
        is_unified: chosen.kind == "cgroup2",
        namespace: "/".into(),
    };
    // Of several at one place, the last covers the others.
    let visible = mounts.iter().rfind(|mount| mount.point == chosen.point)?;
    Some((hierarchy, visible.root))
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let (mut before, mut after) = (before.split(' ').skip(3), after.split(' '));
    Some(Mount {
        root: before.next()?,
        point: before.next()?,
        kind: after.next()?,
        options: after.nth(1)?,
    })
}

/// `path` with every `..` followed, seen from `base`.
fn followed(base: &Path, path: &str) -> PathBuf {
    let mut absolute = base.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            absolute.pop();
        } else {
            absolute.push(part);
        }
    }
    absolute
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
        let path = followed(&self.namespace, path_in(&text, self.is_unified)?);
        let metadata = fs::metadata(self.mount.join(path.strip_prefix("/").ok()?)).ok()?;
        Some((metadata.ino(), path.to_string_lossy().into_owned()))
    }

    /// The group that has this process, less what `/proc` tells of it.
    fn namespace_of_self(&self) -> Option<PathBuf> {
        let own = std::process::id().to_string();
        let has_self = |path: &Path| {
            let members = self
                .mount
                .join(path.strip_prefix("/").unwrap_or(path))
                .join("cgroup.procs");
            fs::read_to_string(members).is_ok_and(|pids| pids.lines().any(|pid| pid == own))
        };
        let (_, group) = self.groups().into_iter().find(|(_, path)| has_self(path))?;
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let told = Path::new(path_in(&text, self.is_unified)?).components().count() - 1;
        group.ancestors().nth(told).map(Path::to_owned)
    }

    /// The process that has lived longest of those in the group at `path` below the mount point.
    pub fn oldest(&self, path: &str) -> Option<Stat> {
        oldest_of(&[self.folder(path)])
    }

    /// The same of those in the group and in all groups below.
    pub fn oldest_below(&self, path: &str) -> Option<Stat> {
        let (top, mut groups) = (self.folder(path), Vec::new());
        let depth = path.split('/').filter(|part| !part.is_empty()).count();
        self.visit(&top, depth, &mut groups);
        let folders: Vec<PathBuf> = groups
            .iter()
            .map(|(_, path)| self.folder(&path.to_string_lossy()))
            .collect();
        oldest_of(&folders)
    }

    fn folder(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
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

/// The oldest of the members of these groups.
fn oldest_of(folders: &[PathBuf]) -> Option<Stat> {
    let members = |folder: &PathBuf| fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let pids: Vec<i32> = folders
        .iter()
        .flat_map(|folder| {
            let pids: Vec<i32> = members(folder)
                .lines()
                .filter_map(|pid| pid.parse().ok())
                .collect();
            pids
        })
        .collect();
    let processes = pids
        .into_iter()
        .filter_map(|pid| Process::new(pid).ok()?.stat().ok());
    processes.min_by_key(|stat| (stat.starttime, stat.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_hierarchy_wins_over_the_unified_one() {
        let hybrid = "31 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      32 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let unified = "32 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let at = |mount: &str, is_unified| Hierarchy {
            mount: mount.into(),
            is_unified,
            namespace: "/".into(),
        };
        assert_eq!(
            of_mountinfo(hybrid),
            Some((at("/sys/fs/cgroup/memory", false), "/"))
        );
        assert_eq!(of_mountinfo(unified), Some((at("/sys/fs/cgroup", true), "/")));
        assert_eq!(of_mountinfo("1 2 0:3 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn of_two_mounts_at_one_place_the_later_one_is_seen() {
        let in_container = "40 39 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup ro\n\
                            41 40 0:27 /../../.. /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        let (_, root) = of_mountinfo(in_container).unwrap();
        assert_eq!(root, "/../../..");
    }

    #[test]
    fn a_path_is_told_from_where_the_namespace_begins() {
        let namespace = Path::new("/kubepods/pod1/observer");
        let absolute = |path| followed(namespace, path).to_string_lossy().into_owned();
        assert_eq!(absolute("/"), "/kubepods/pod1/observer");
        assert_eq!(absolute("/../../pod2/shop"), "/kubepods/pod2/shop");
        assert_eq!(absolute("/../../../init.scope"), "/init.scope");
        assert_eq!(followed(Path::new("/"), "/a/b"), Path::new("/a/b"));
    }

    #[test]
    fn this_process_is_in_the_group_that_is_found_for_it() {
        let hierarchy = hierarchy().unwrap();
        let found = hierarchy.namespace_of_self();
        assert_eq!(found.as_deref(), Some(hierarchy.namespace.as_path()));
    }

    /// Starts itself once more: in a group and a namespace of its own, as a container, where it prints where it sees init.
    #[test]
    #[ignore = "needs CAP_BPF"]
    fn processes_outside_of_ones_own_namespace_are_known_by_the_same_paths() {
        let told = |pid| format!("{:?}", hierarchy().unwrap().group_of(pid).unwrap());
        if std::env::var_os("TAPIO_TEST_CONTAINED").is_some() {
            println!("init: {}\nself: {}", told(1), told(std::process::id()));
            return;
        }
        let name = format!("tapio-namespace-{}", std::process::id());
        let group = hierarchy().unwrap().mount.join(&name);
        fs::create_dir(&group).unwrap();
        let id = fs::metadata(&group).unwrap().ino();
        let enter = "echo $$ > \"$0/cgroup.procs\" && exec unshare --cgroup -- \"$@\"";
        let output = std::process::Command::new("sh")
            .args(["-c", enter])
            .args([&group, &std::env::current_exe().unwrap()])
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("identity::cgroups::tests::processes_outside_of_ones_own_namespace_are_known_by_the_same_paths")
            .env("TAPIO_TEST_CONTAINED", "1")
            .output()
            .unwrap();
        fs::remove_dir(&group).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("init: {}\n", told(1))), "{text}");
        assert!(text.contains(&format!("self: ({id}, \"/{name}\")\n")), "{text}");
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
            namespace: "/".into(),
        }
        .groups();
        let inode = fs::metadata(root.path().join("a/b")).unwrap().ino();
        assert!(groups.contains(&(inode, PathBuf::from("/a/b"))));
        assert_eq!(groups.len(), 3);
    }
}
