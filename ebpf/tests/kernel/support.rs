//! Loading, waiting with a deadline, and what /proc and cgroupfs say about this process.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ebpf::raw::Record;
use ebpf::{Family, Loaded, Settings, load};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Polls of 50 ms: five seconds in all.
const ROUNDS: usize = 100;

/// Loads a family with nothing ignored.
pub(crate) fn attached(family: Family) -> Loaded {
    let loaded = load(
        family,
        Settings {
            own_tgid: 0,
            wakeup_bytes: 1,
            ..Settings::default()
        },
    )
    .unwrap();
    for report in loaded.reports() {
        assert!(!report.is_blind(), "{report:?}");
    }
    loaded
}

fn pause(loaded: &mut Loaded) {
    let reader = loaded.reader().unwrap();
    let mut descriptors = [PollFd::new(reader, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    poll(&mut descriptors, Some(&timeout)).unwrap();
    let _ = reader.as_fd();
}

/// Waits until `done` is content with everything read so far; returns all of it either way.
pub(crate) fn records_until(loaded: &mut Loaded, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let reader = loaded.reader().unwrap();
        reader.drain(|_, bytes| seen.push(Record::parse(bytes).unwrap()));
        if done(&seen) {
            return seen;
        }
        pause(loaded);
    }
    panic!("not seen within the deadline; {} other records", seen.len());
}

/// Collects from `more` until `done`, with the same deadline.
pub(crate) fn collect_until<T>(
    loaded: &mut Loaded,
    more: impl Fn(&mut Loaded) -> Vec<T>,
    done: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        seen.extend(more(loaded));
        if done(&seen) {
            return seen;
        }
        pause(loaded);
    }
    panic!("not counted within the deadline; {} other entries", seen.len());
}

/// Field 22 of `/proc/PID/stat`: start in clock ticks since boot.
pub(crate) fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// The record's start time in the same unit.
pub(crate) fn as_ticks(start_ns: u64) -> u64 {
    start_ns / (1_000_000_000 / rustix::param::clock_ticks_per_second())
}

/// Where the memory controller's directories are, and whether that is v1.
pub(crate) fn memory_root() -> (PathBuf, bool) {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.join("memory.limit_in_bytes").exists() || v1.join("memory.usage_in_bytes").exists() {
        return (v1.to_owned(), true);
    }
    (PathBuf::from("/sys/fs/cgroup"), false)
}

/// The inode of this process's cgroup directory.
pub(crate) fn own_cgroup_id() -> u64 {
    let (root, is_v1) = memory_root();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let wanted = if is_v1 { ":memory:" } else { "0::" };
    let line = groups.lines().find(|line| line.contains(wanted)).unwrap();
    let path = line.rsplit_once(':').unwrap().1.trim_start_matches('/');
    fs::metadata(root.join(path)).unwrap().ino()
}

/// The inode of this process's network namespace.
pub(crate) fn own_netns() -> u32 {
    u32::try_from(fs::metadata("/proc/self/ns/net").unwrap().ino()).unwrap()
}
