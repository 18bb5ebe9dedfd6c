//! Main processes, what stands by them, and what changes when they are replaced.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ns: 1 }
}

const NOBODY: ProcessId = ProcessId { pid: 1, start_ns: 0 };

/// `v6.2` is a version of the cache, anything else a program of that name.
fn program(name: &str) -> Executable {
    let path = if name.starts_with('v') {
        format!("/srv/{name}/cache")
    } else {
        format!("/usr/bin/{name}")
    };
    Executable {
        path,
        content_hash: name.into(),
        ..Executable::default()
    }
}

fn sight(name: &str, listens: bool) -> Sight {
    Sight {
        executable: program(name),
        listens,
    }
}

impl Services {
    fn starts(&mut self, pid: u32, origin: Origin, name: &str, time_ns: u64) {
        self.execd("/shop/cache", id(pid), origin, program(name), time_ns);
    }

    /// Looks at what is there; nobody listens, and everybody runs what he exec'd.
    fn passes(&mut self, now_ns: u64) -> Vec<Change> {
        self.pass_time(now_ns, |_| None)
    }

    /// The same where these listen.
    fn passes_with(&mut self, now_ns: u64, listening: &[(u32, &str)]) -> Vec<Change> {
        self.pass_time(now_ns, |process| {
            let found = listening.iter().find(|(pid, _)| *pid == process.pid)?;
            Some(sight(found.1, true))
        })
    }

    /// Whether it was the main process or served.
    fn ends(&mut self, pid: u32, time_ns: u64) -> bool {
        self.exited("/shop/cache", id(pid), NOBODY, false, time_ns)
            .is_main
    }

    fn fails(&mut self, pid: u32, time_ns: u64) -> End {
        self.exited("/shop/cache", id(pid), NOBODY, true, time_ns)
    }

    fn is_main(&self, pid: u32, time_ns: u64) -> bool {
        self.is_serving("/shop/cache", id(pid), NOBODY, time_ns)
    }
}

fn restart(services: &mut Services, pid: u32, version: &str, time_ns: u64) -> Vec<Change> {
    services.ends(pid - 1, time_ns);
    services.starts(pid, Origin::Outside, version, time_ns + 1);
    services.passes(time_ns + SECOND)
}

fn running() -> Services {
    let mut services = Services::default();
    services.found("/shop/cache", id(10), Origin::Outside, &sight("v6.2", true), 0);
    services
}

#[test]
fn a_process_whose_end_was_lost_does_not_stand_in_the_way_of_the_next() {
    let mut services = running();
    services.starts(11, Origin::Outside, "v7.0", 5 * SECOND);
    let lives = |process: ProcessId| process.pid == 11;
    assert_eq!(
        services.forget_gone(lives, 6 * SECOND),
        [],
        "its end may be on the way"
    );
    assert!(!services.is_main(11, 20 * SECOND));
    assert_eq!(services.forget_gone(lives, 16 * SECOND), [id(10)]);
    assert!(services.is_main(11, 20 * SECOND));
    let changes = services.passes(17 * SECOND);
    assert_eq!(changes.len(), 1, "and what it changed is seen");
    let all_live = |_| true;
    assert_eq!(services.forget_gone(all_live, 26 * SECOND), []);
    assert_eq!(services.forget_gone(all_live, 36 * SECOND), []);
}

#[test]
fn what_was_started_by_one_shell_is_a_service_where_it_went_and_no_version_of_another() {
    let mut services = running();
    for (pid, version, group) in [(11, "v1", "/shop/gateway"), (12, "v2", "/shop/users")] {
        services.execd("/shell", id(pid), Origin::Inside, program("enter"), 5 * SECOND);
        services.execd(group, id(pid), Origin::Outside, program(version), 5 * SECOND + 1);
    }
    let changes = services.passes_with(40 * SECOND, &[(10, "v6.2"), (11, "v1"), (12, "v2")]);
    assert_eq!(changes, []);
    assert!(services.is_serving("/shop/gateway", id(11), NOBODY, 40 * SECOND));
}

#[test]
fn another_executable_in_the_same_service_is_a_change() {
    let changes = restart(&mut running(), 11, "v7.0", 5 * SECOND);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].process, changes[0].time_ns), (id(11), 5 * SECOND + 1));
    assert_eq!(
        (
            changes[0].change.old.label.as_str(),
            changes[0].change.new.label.as_str()
        ),
        ("v6.2", "v7.0")
    );
}

#[test]
fn a_restart_of_the_same_executable_and_a_first_start_are_none() {
    assert_eq!(restart(&mut running(), 11, "v6.2", 5 * SECOND), []);
    assert_eq!(restart(&mut Services::default(), 11, "v6.2", 5 * SECOND), []);
}

#[test]
fn a_probe_or_a_shell_inside_is_none() {
    let mut services = running();
    services.starts(50, Origin::Outside, "sh", SECOND);
    services.starts(51, Origin::Inside, "grep", SECOND);
    assert_eq!(services.passes(3 * SECOND), []);
    assert!(!services.ends(50, 4 * SECOND));
    assert!(services.is_main(10, 5 * SECOND));
}

#[test]
fn a_script_that_execs_the_real_thing_is_judged_by_the_real_thing() {
    let mut services = running();
    services.ends(10, SECOND);
    services.starts(11, Origin::Outside, "sh", SECOND);
    services.starts(11, Origin::Inside, "v6.2", SECOND + 1000);
    assert_eq!(services.passes(3 * SECOND), []);
}

#[test]
fn a_new_version_that_dies_at_once_is_still_a_change() {
    let mut services = running();
    services.ends(10, SECOND);
    services.starts(11, Origin::Outside, "v7.0", SECOND);
    let end = services.fails(11, SECOND + 1000);
    assert!(end.is_main && end.change.is_some());
}

#[test]
fn one_that_started_before_the_old_one_stopped_takes_its_place() {
    let mut services = running();
    services.starts(11, Origin::Outside, "v7.0", SECOND);
    assert_eq!(services.passes(3 * SECOND), []);
    services.ends(10, 4 * SECOND);
    assert_eq!(services.passes(4 * SECOND), [], "it may be killed with it");
    assert_eq!(services.passes(5 * SECOND).len(), 1);
    assert!(services.ends(11, 5 * SECOND), "and its end counts");
}

#[test]
fn what_is_killed_with_the_main_process_is_part_of_its_end() {
    let mut services = running();
    services.starts(50, Origin::Outside, "sh", SECOND);
    services.starts(51, Origin::Outside, "top", SECOND);
    assert!(services.ends(10, 2 * SECOND));
    for (helper, time_ns) in [(50, 2 * SECOND + 1000), (51, 2 * SECOND + 2000)] {
        assert!(!services.is_main(helper, time_ns));
        assert!(!services.ends(helper, time_ns));
    }
    let again = restart(&mut services, 11, "v6.2", 2 * SECOND + 3000);
    assert_eq!(again, [], "what ran is what the main process ran");
    assert!(services.ends(11, 9 * SECOND));
}

#[test]
fn a_guest_of_a_container_is_never_its_main_process_however_long_it_takes_to_die() {
    let mut services = running();
    services.starts(50, Origin::Guest, "sh", SECOND);
    services.starts(50, Origin::Inside, "grep", SECOND + 1);
    assert!(services.ends(10, 2 * SECOND));
    assert_eq!(services.passes(4 * SECOND), []);
    assert!(!services.ends(50, 5 * SECOND));
}

#[test]
fn the_main_process_is_found_whatever_was_found_before_it() {
    let mut services = Services::default();
    services.found("/shop/cache", id(9), Origin::Guest, &sight("sh", false), 0);
    services.found("/shop/cache", id(10), Origin::Outside, &sight("v6.2", true), 0);
    assert!(!services.ends(9, SECOND));
    assert!(services.is_main(10, SECOND));
    assert_eq!(restart(&mut services, 11, "v6.2", 5 * SECOND), []);
}

#[test]
fn a_container_that_shares_its_pods_pid_namespace_has_a_main_process() {
    let mut services = Services::default();
    services.starts(10, Origin::Guest, "v6.2", SECOND);
    services.starts(50, Origin::Guest, "sh", 2 * SECOND);
    assert!(services.ends(10, 3 * SECOND));
    assert!(!services.ends(50, 3 * SECOND));
}

#[test]
fn a_service_that_stayed_empty_is_forgotten() {
    let mut services = running();
    services.ends(10, SECOND);
    services.passes(SECOND + FORGOTTEN_AFTER_NS);
    assert!(services.services.is_empty());
}

#[test]
fn a_wrapper_is_no_version_of_what_it_starts() {
    let mut services = Services::default();
    for (pid, from_ns) in [(10, SECOND), (11, 20 * SECOND)] {
        services.starts(pid, Origin::Outside, "dash", from_ns);
        assert_eq!(services.passes(from_ns + SECOND), []);
        services.starts(pid, Origin::Inside, "python3.11", from_ns + 2 * SECOND);
        let listening = [(pid, "python3.11")];
        assert_eq!(services.passes_with(from_ns + 4 * SECOND, &listening), []);
        assert!(!services.fails(pid, from_ns + 9 * SECOND).never_served);
    }
}

#[test]
fn a_wrapper_that_has_the_socket_already_is_none_either() {
    let mut services = Services::default();
    for (pid, from_ns) in [(10, SECOND), (11, 20 * SECOND)] {
        services.starts(pid, Origin::Outside, "dash", from_ns);
        assert_eq!(services.passes_with(from_ns + 3 * SECOND, &[(pid, "dash")]), []);
        services.starts(pid, Origin::Inside, "python3.11", from_ns + 4 * SECOND);
        assert_eq!(
            services.passes_with(from_ns + 5 * SECOND, &[(pid, "python3.11")]),
            []
        );
        assert!(services.ends(pid, from_ns + 9 * SECOND));
    }
}

#[test]
fn a_helper_that_fails_is_no_version_and_what_fails_again_is_one() {
    let mut services = running();
    services.ends(10, SECOND);
    services.starts(11, Origin::Outside, "migrate", 2 * SECOND);
    assert_eq!(services.fails(11, 3 * SECOND).change, None);
    services.starts(12, Origin::Outside, "migrate", 4 * SECOND);
    let change = services.fails(12, 5 * SECOND).change.unwrap().change;
    assert_eq!(
        (change.old.label.as_str(), change.new.label.as_str()),
        ("cache", "migrate")
    );
}

#[test]
fn another_program_that_serves_for_long_takes_the_place_of_the_one_before() {
    let mut services = running();
    services.ends(10, SECOND);
    services.starts(11, Origin::Outside, "redis", 2 * SECOND);
    assert_eq!(services.passes_with(3 * SECOND, &[(11, "redis")]), []);
    let changes = services.passes_with(13 * SECOND, &[(11, "redis")]);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].change.new.label, "redis");
}

#[test]
fn what_serves_beside_another_is_no_change_and_its_end_is_told() {
    let mut services = running();
    services.starts(20, Origin::Inside, "nginx", SECOND);
    assert!(!services.is_main(20, 2 * SECOND), "not yet");
    assert_eq!(services.passes_with(20 * SECOND, &[(20, "nginx")]), []);
    assert!(services.is_main(20, 20 * SECOND));
    let end = services.fails(20, 21 * SECOND);
    assert!(end.is_main && !end.never_served && end.change.is_none());
    assert!(services.is_main(10, 22 * SECOND), "the other goes on");
}

#[test]
fn a_fork_of_what_serves_is_its_worker_and_what_it_execs_is_none() {
    let mut services = running();
    let ended = |services: &mut Services, pid| services.exited("/shop/cache", id(pid), id(10), true, SECOND);
    assert!(ended(&mut services, 30).is_worker);
    services.starts(31, Origin::Inside, "convert", SECOND);
    assert!(!ended(&mut services, 31).is_worker);
    let of_another = services.exited("/shop/cache", id(32), id(31), true, SECOND);
    assert!(!of_another.is_worker);
}

#[test]
fn a_job_has_never_served_and_a_worker_that_went_on_has() {
    let mut services = Services::default();
    services.starts(10, Origin::Outside, "grep", SECOND);
    let end = services.fails(10, 2 * SECOND);
    assert!(end.is_main && end.never_served);
    services.starts(11, Origin::Outside, "consumer", 3 * SECOND);
    assert_eq!(services.passes(40 * SECOND), []);
    assert!(!services.fails(11, 41 * SECOND).never_served);
    services.starts(12, Origin::Outside, "consumer", 42 * SECOND);
    assert!(
        !services.fails(12, 43 * SECOND).never_served,
        "its crash loop is one of a service"
    );
}
