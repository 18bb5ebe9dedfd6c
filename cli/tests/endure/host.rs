//! What the host knows of processes, control groups and programs in the kernel.

use std::collections::BTreeSet;
use std::path::Path;

use procfs::process::{Process, all_processes};
use rustix::process::Pid;
use tokio::sync::RwLock;

/// Every observer on this host sees all of its traffic: whoever floods it needs it for himself.
pub(crate) static TRAFFIC: RwLock<()> = RwLock::const_new(());

/// The child of `parent` that runs `program`.
pub(crate) fn child(parent: u32, program: &str) -> Option<Pid> {
    let mut children = processes()
        .into_iter()
        .filter(|process| parent_of(process) == parent);
    let found = children.find(|process| {
        let path = process.exe().unwrap_or_default();
        path.file_name().is_some_and(|name| name == program)
    });
    Pid::from_raw(found?.pid)
}

/// Processes that descend from `root`.
pub(crate) fn descendants(root: u32) -> BTreeSet<u32> {
    let all = processes();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        let children = all.iter().filter(|process| found.contains(&parent_of(process)));
        let children: Vec<u32> = children.map(|process| process.pid.cast_unsigned()).collect();
        found.extend(children);
        if found.len() == before {
            found.remove(&root);
            return found;
        }
    }
}

pub(crate) fn lives(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Programs and links in the kernel that these processes hold, as `prog_id 7`.
pub(crate) fn held_in_kernel(pids: impl IntoIterator<Item = u32>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for pid in pids {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
        for entry in entries.into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let ids = text.lines().filter_map(|line| {
                let (name, id) = line.split_once(':')?;
                matches!(name, "prog_id" | "link_id" | "map_id").then(|| format!("{name} {}", id.trim()))
            });
            held.extend(ids);
        }
    }
    held
}

/// All that any process holds.
pub(crate) fn held_by_anybody() -> BTreeSet<String> {
    held_in_kernel(processes().iter().map(|process| process.pid.cast_unsigned()))
}

/// Executables of the members of a control group.
pub(crate) fn executables(group: &Path) -> String {
    let members = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let paths = members
        .lines()
        .filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
    paths.map(|path| path.display().to_string()).collect()
}

/// Memory of a control group, in bytes.
pub(crate) fn memory(group: &Path) -> u64 {
    let read = |name| std::fs::read_to_string(group.join(name)).ok();
    let text = read("memory.usage_in_bytes").or_else(|| read("memory.current"));
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Processes that the kernel killed in a control group for want of memory.
pub(crate) fn oom_kills(group: &Path) -> u64 {
    let read = |name| std::fs::read_to_string(group.join(name)).unwrap_or_default();
    let text = read("memory.oom_control") + &read("memory.events");
    let mut counts = text.lines().filter_map(|line| line.strip_prefix("oom_kill "));
    counts
        .next()
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn processes() -> Vec<Process> {
    all_processes().unwrap().flatten().collect()
}

fn parent_of(process: &Process) -> u32 {
    process.stat().map_or(0, |stat| stat.ppid.cast_unsigned())
}
