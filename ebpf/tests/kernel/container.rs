//! OOM kills in a real memory cgroup.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ebpf::Family;
use ebpf::raw::{Cgroup, OomKill, Record, text};

use crate::support::{attached, memory_root, records_until};

const LIMIT: u64 = 16 << 20;

/// A memory cgroup with a limit, removed when dropped.
struct Limited {
    path: PathBuf,
    is_v1: bool,
}

impl Limited {
    fn new(name: &str) -> Self {
        let (root, is_v1) = memory_root();
        let path = root.join(format!("tapio-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let limited = Self { path, is_v1 };
        let limit = if is_v1 {
            "memory.limit_in_bytes"
        } else {
            "memory.max"
        };
        fs::write(limited.path.join(limit), LIMIT.to_string()).unwrap();
        limited
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.path).unwrap().ino()
    }

    /// What the kernel itself counts.
    fn kills(&self) -> u64 {
        let file = if self.is_v1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        let text = fs::read_to_string(self.path.join(file)).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .unwrap();
        line.parse().unwrap()
    }

    /// A shell that enters the cgroup and becomes `program`.
    fn run(&self, program: &str) -> Child {
        let script = format!("echo $$ > {}/cgroup.procs; {program}", self.path.display());
        Command::new("/bin/sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).unwrap();
    }
}

fn kill_of(records: &[Record], pid: u32) -> Option<OomKill> {
    records.iter().find_map(|record| {
        let Record::OomKill(kill) = record else {
            return None;
        };
        (kill.victim.tgid == pid).then_some(*kill)
    })
}

fn made(records: &[Record], id: u64) -> Option<Cgroup> {
    records.iter().find_map(|record| {
        let Record::Cgroup(cgroup) = record else {
            return None;
        };
        (cgroup.cgroup_id == id).then_some(*cgroup)
    })
}

#[test]
#[ignore = "needs CAP_BPF"]
fn an_oom_kill_names_victim_limit_and_cgroup() {
    let mut loaded = attached(Family::Container);
    let group = Limited::new("oom");
    let mut modest = group.run("exec true");
    assert!(modest.wait().unwrap().success());
    assert_eq!(group.kills(), 0);
    let mut greedy = group.run("exec tail /dev/zero");
    let (pid, status) = (greedy.id(), greedy.wait().unwrap());
    assert_eq!((status.signal(), group.kills()), (Some(9), 1));
    let records = records_until(&mut loaded, |records| kill_of(records, pid).is_some());
    assert_eq!(kill_of(&records, modest.id()), None);
    let kill = kill_of(&records, pid).unwrap();
    assert_eq!(
        (kill.victim.cgroup_id, text(&kill.victim.comm).as_ref()),
        (group.id(), "tail")
    );
    if loaded.is_locked_down() {
        assert_eq!((kill.limit_unknown, kill.limit_bytes), (1, 0));
        return;
    }
    assert_eq!((kill.limit_bytes, kill.limit_cgroup_id), (LIMIT, group.id()));
    assert!(
        kill.usage_bytes >= LIMIT - LIMIT / 50 && kill.usage_bytes <= LIMIT,
        "{kill:?}"
    );
    assert!(
        kill.anon_bytes > LIMIT / 2 && kill.anon_bytes <= LIMIT,
        "{kill:?}"
    );
    assert_eq!(kill.limit_unknown, 0);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_cgroup_is_known_before_its_first_process() {
    let mut loaded = attached(Family::Container);
    let group = Limited::new("born");
    let (id, name) = (
        group.id(),
        group.path.file_name().unwrap().to_str().unwrap().to_owned(),
    );
    let records = records_until(&mut loaded, |records| made(records, id).is_some());
    let cgroup = made(&records, id).unwrap();
    if loaded.is_locked_down() {
        assert_eq!((cgroup.path_unknown, text(&cgroup.path).as_ref()), (1, ""));
        return;
    }
    assert_eq!(text(&cgroup.path), format!("/{name}"));
    assert_eq!(cgroup.path_unknown, 0);
}
