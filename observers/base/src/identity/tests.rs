//! Who is in a group.

use super::*;

/// What knows nothing of a hierarchy, and has just walked it.
fn blank() -> Identity {
    Identity {
        hierarchy: hierarchy(),
        runtimes: Runtimes::new("/no/such/root".into()),
        known: Mutex::new(Known {
            walked_ns: u64::MAX / 2,
            ..Known::default()
        }),
        misses: AtomicU64::new(0),
    }
}

fn key_of(path: &str, pid: u32, program: &str) -> (String, String) {
    let identity = blank();
    identity.created(5, path, 1);
    let process = Process {
        pid,
        comm: program.to_owned(),
        ..Process::default()
    };
    let one = identity.process(process, 5, 1);
    assert_eq!(
        one.key(),
        identity.program(program, 5, 1).key(),
        "what a second sums up knows no process, and is the same one's"
    );
    (one.key(), one.label())
}

#[test]
fn a_program_that_runs_again_is_called_the_same_wherever_it_was_put() {
    let hash = |digits: &str| format!("/system.slice/docker-{}.scope", digits.repeat(32));
    for (path, pid, kind) in [
        (
            "/user.slice/user-0.slice/session-3.scope".to_owned(),
            7,
            "Program",
        ),
        (
            "/user.slice/user-0.slice/session-4.scope".to_owned(),
            8,
            "Program",
        ),
        (hash("a1"), 9, "Container"),
        (hash("b2"), 10, "Container"),
        ("/".to_owned(), 11, "Program"),
    ] {
        let told = (format!("{kind}/host/curl"), "curl".to_owned());
        assert_eq!(key_of(&path, pid, "curl"), told, "{path}");
    }
    assert_eq!(key_of("/", 7, "wget").1, "wget", "and another program is another");
}

#[test]
fn a_unit_and_a_pod_are_not_called_by_their_programs() {
    let unit = ("Unit/host/redis".to_owned(), "redis".to_owned());
    assert_eq!(key_of("/system.slice/redis.service", 7, "redis-server"), unit);
    let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let (key, _) = key_of(&format!("/kubepods/pod{uid}/{}", "a1".repeat(32)), 7, "python3");
    assert_eq!(key, format!("Pod//{uid}"));
    let unknown = blank().program("curl", 6, 1);
    assert_eq!(unknown.workload, None, "it may be anything, even a pod's");
}

#[test]
fn a_group_is_called_by_its_oldest_process() {
    let root = tempfile::tempdir().unwrap();
    let mut identity = blank();
    std::fs::create_dir(root.path().join("session-3.scope")).unwrap();
    let pids = format!("{}\n4194304\n", std::process::id());
    std::fs::write(root.path().join("session-3.scope/cgroup.procs"), pids).unwrap();
    identity.hierarchy = Some(Hierarchy {
        mount: root.path().to_owned(),
        is_unified: true,
        namespace: "/".into(),
    });
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let of_path = |path| paths::of_path(7, path, |_| None);
    let told = identity.by_oldest(of_path("/session-3.scope"), 1);
    assert_eq!(told.label(), own.trim_end());
    let unit = of_path("/redis.service");
    assert_eq!(identity.by_oldest(unit.clone(), 1), unit);
}

#[test]
fn containers_without_a_name_are_called_by_their_oldest_program_and_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let mut identity = blank();
    let path = |digits: &str| format!("/user@1000.service/user.slice/libpod-{}.scope", digits.repeat(32));
    for (id, digits) in [(5, "a1"), (6, "b2")] {
        let group = root.path().join(&path(digits)[1..]).join("container");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        identity.created(id, &format!("{}/container", path(digits)), 1);
    }
    identity.hierarchy = Some(Hierarchy {
        mount: root.path().to_owned(),
        is_unified: true,
        namespace: "/".into(),
    });
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let own = own.trim_end();
    let labels = [5, 6].map(|id| identity.program("curl", id, 1).label());
    assert_eq!(labels, [own.to_owned(), format!("{own} b2b2b2b2b2b2")]);
    assert!(
        !identity.is_nameless(5, 1),
        "all of its programs are one workload"
    );
    std::fs::remove_dir_all(root.path().join("user@1000.service")).unwrap();
    assert_eq!(
        identity.program("curl", 6, 1).label(),
        labels[1],
        "what is told late"
    );
}

#[test]
fn a_container_is_called_as_its_runtime_calls_it() {
    let root = tempfile::tempdir().unwrap();
    let id = "a1".repeat(32);
    let folder = root.path().join("var/lib/docker/containers").join(&id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.v2.json"), r#"{"Name":"/cache"}"#).unwrap();
    let mut identity = blank();
    identity.runtimes = Runtimes::new(root.path().to_owned());
    identity.created(5, &format!("/system.slice/docker-{id}.scope"), 1);
    identity.created(
        6,
        &format!("/system.slice/docker-{id}.scope/system.slice/redis.service"),
        1,
    );
    let key = |group| identity.program("curl", group, 1).key();
    assert_eq!(key(5), "Container/host/cache");
    assert_eq!(key(6), "Unit/host/cache/redis", "not the host's own redis");
}

#[test]
fn a_group_that_is_younger_than_the_last_walk_is_known_from_its_process() {
    let identity = blank();
    let id = cgroup_id_of(std::process::id()).unwrap();
    let unknown = identity.cgroup(id, 1).cgroup.unwrap();
    assert_eq!(
        (unknown.path.as_str(), identity.misses()),
        ("", 1),
        "not by its id"
    );
    let other = identity.cgroup_of(std::process::id(), id + 1, 1).cgroup.unwrap();
    assert_eq!(other.path, "", "the process has moved");
    let known = identity.cgroup_of(std::process::id(), id, 1).cgroup.unwrap();
    assert!(known.path.starts_with('/'), "{known:?}");
    assert_eq!(identity.cgroup(id, 1).cgroup, Some(known), "remembered");
}
