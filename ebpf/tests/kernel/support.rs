//! Loading, waiting with a deadline, and what /proc and cgroupfs say about this process.

use std::fmt::Debug;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use ebpf::raw::{Record, Task};
use ebpf::{Family, Loaded, Rung, Settings, load};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long anything is waited for. Rounds would not do: while a record is being written the ring can be read, and is empty.
const PATIENCE: Duration = Duration::from_secs(5);

/// With this variable set, what is left when the best rung is out of reach.
const LOW: (&str, &[Rung]) = ("TAPIO_TEST_LOW_RUNGS", &[Rung::RawTp, Rung::Tracepoint]);

fn rungs() -> &'static [Rung] {
    let (variable, low) = LOW;
    if std::env::var_os(variable).is_some() {
        low
    } else {
        Rung::ALL
    }
}

/// Programs see the whole host: a test that fills their tables on purpose would fill those of the others too.
static HOST: RwLock<()> = RwLock::new(());

/// Programs that are attached, and this test's share of the host.
pub(crate) struct Attached<G> {
    loaded: Loaded,
    _host: G,
}

impl<G> Deref for Attached<G> {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl<G> DerefMut for Attached<G> {
    fn deref_mut(&mut self) -> &mut Loaded {
        &mut self.loaded
    }
}

/// Attaches a family with nothing ignored.
pub(crate) fn attached(family: Family) -> Attached<RwLockReadGuard<'static, ()>> {
    let host = HOST.read().unwrap_or_else(PoisonError::into_inner);
    Attached {
        loaded: attached_for(family, Settings::default().processors),
        _host: host,
    }
}

/// The same where the rungs that may be used have one for it; says so where they have none.
pub(crate) fn attached_to_packets(family: Family) -> Option<Attached<RwLockReadGuard<'static, ()>>> {
    if rungs().contains(&Rung::CgroupSkb) {
        return Some(attached(family));
    }
    println!("SKIP: {family:?} has none of these rungs");
    None
}

/// The same with room for the sums of so many processors, while no other test has programs attached.
pub(crate) fn attached_alone(family: Family, processors: u32) -> Attached<RwLockWriteGuard<'static, ()>> {
    let host = HOST.write().unwrap_or_else(PoisonError::into_inner);
    Attached {
        loaded: attached_for(family, processors),
        _host: host,
    }
}

fn attached_for(family: Family, processors: u32) -> Loaded {
    let loaded = load(
        family,
        Settings {
            own_tgid: 0,
            wakeup_bytes: 1,
            rungs: rungs(),
            processors,
            ..Settings::default()
        },
    )
    .unwrap();
    for report in loaded.reports() {
        assert!(!report.is_blind(), "{report:?}");
    }
    loaded
}

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) fn closed_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[expect(clippy::disallowed_methods, reason = "it waits for a real kernel")]
fn now() -> Instant {
    Instant::now()
}

/// Lets so much time pass. A parked thread may be woken before by what happened earlier.
pub(crate) fn wait(time: Duration) {
    poll(&mut [], Some(&Timespec::try_from(time).unwrap())).unwrap();
}

fn give_up<T: Debug>(loaded: &Loaded, seen: &[T]) -> ! {
    let skipped: Vec<_> = loaded
        .costs()
        .into_iter()
        .filter(|cost| cost.skipped > 0)
        .collect();
    let losses = loaded.losses();
    panic!(
        "not seen within the deadline, but {seen:?}; lost: {losses:?}; skipped by the kernel: {skipped:?}"
    );
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
    let (mut seen, began) = (Vec::new(), now());
    while began.elapsed() < PATIENCE {
        let reader = loaded.reader().unwrap();
        reader.drain(|_, bytes| seen.push(Record::parse(bytes).unwrap()));
        if done(&seen) {
            return seen;
        }
        pause(loaded);
    }
    give_up(loaded, &seen);
}

/// Collects from `more` until `done`, with the same deadline.
pub(crate) fn collect_until<T: Debug>(
    loaded: &mut Loaded,
    more: impl Fn(&mut Loaded) -> Vec<T>,
    done: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let (mut seen, began) = (Vec::new(), now());
    while began.elapsed() < PATIENCE {
        seen.extend(more(loaded));
        if done(&seen) {
            return seen;
        }
        pause(loaded);
    }
    give_up(loaded, &seen);
}

/// Field 22 of `/proc/PID/stat`: start in clock ticks since boot.
fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// The record's start time in the same unit.
fn as_ticks(start_ns: u64) -> u64 {
    start_ns / (1_000_000_000 / rustix::param::clock_ticks_per_second())
}

/// Whether the record names this process by its start. Before 5.11 lockdown hides that, and then it must be absent.
pub(crate) fn is_this_process(task: &Task, loaded: &Loaded) -> bool {
    let hidden = loaded.is_locked_down() && task.start_ns == 0;
    task.tgid == std::process::id() && (hidden || as_ticks(task.start_ns) == start_ticks(task.tgid))
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
