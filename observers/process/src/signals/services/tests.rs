//! Main processes, what stands by them, and what changes when they are replaced.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ns: 1 }
}

fn program(version: &str) -> Executable {
    Executable {
        path: format!("/srv/{version}/cache"),
        content_hash: version.into(),
        ..Executable::default()
    }
}

fn restart(services: &mut Services, pid: u32, version: &str, time_ns: u64) -> Vec<Change> {
    services.exited("/shop/cache", id(pid - 1), time_ns);
    services.execd(
        "/shop/cache",
        id(pid),
        Origin::Outside,
        program(version),
        time_ns + 1,
    );
    services.pass_time(time_ns + SECOND)
}

fn running() -> Services {
    let mut services = Services::default();
    services.found("/shop/cache", id(10), Origin::Outside, program("v6.2"));
    services
}

#[test]
fn a_process_whose_end_was_lost_does_not_stand_in_the_way_of_the_next() {
    let mut services = running();
    services.execd(
        "/shop/cache",
        id(11),
        Origin::Outside,
        program("v7.0"),
        5 * SECOND,
    );
    let lives = |process: ProcessId| process.pid == 11;
    assert_eq!(
        services.forget_gone(lives, 6 * SECOND),
        [],
        "its end may be on the way"
    );
    assert!(!services.is_main("/shop/cache", id(11), 20 * SECOND));
    assert_eq!(services.forget_gone(lives, 16 * SECOND), [id(10)]);
    assert!(services.is_main("/shop/cache", id(11), 20 * SECOND));
    let changes = services.pass_time(17 * SECOND);
    assert_eq!(changes.len(), 1, "and what it changed is seen");
    let all_live = |_| true;
    assert_eq!(services.forget_gone(all_live, 26 * SECOND), []);
    assert_eq!(services.forget_gone(all_live, 36 * SECOND), []);
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
    services.execd("/shop/cache", id(50), Origin::Outside, program("sh"), SECOND);
    services.execd("/shop/cache", id(51), Origin::Inside, program("grep"), SECOND);
    assert_eq!(services.pass_time(3 * SECOND), []);
    assert_eq!(services.exited("/shop/cache", id(50), 4 * SECOND), (false, None));
    assert!(services.is_main("/shop/cache", id(10), 5 * SECOND));
}

#[test]
fn a_script_that_execs_the_real_thing_is_judged_by_the_real_thing() {
    let mut services = running();
    services.exited("/shop/cache", id(10), SECOND);
    services.execd("/shop/cache", id(11), Origin::Outside, program("sh"), SECOND);
    services.execd(
        "/shop/cache",
        id(11),
        Origin::Inside,
        program("v6.2"),
        SECOND + 1000,
    );
    assert_eq!(services.pass_time(3 * SECOND), []);
}

#[test]
fn a_new_version_that_dies_at_once_is_still_a_change() {
    let mut services = running();
    services.exited("/shop/cache", id(10), SECOND);
    services.execd("/shop/cache", id(11), Origin::Outside, program("v7.0"), SECOND);
    let (was_main, change) = services.exited("/shop/cache", id(11), SECOND + 1000);
    assert!(was_main && change.is_some());
}

#[test]
fn one_that_started_before_the_old_one_stopped_takes_its_place() {
    let mut services = running();
    services.execd("/shop/cache", id(11), Origin::Outside, program("v7.0"), SECOND);
    assert_eq!(services.pass_time(3 * SECOND), []);
    services.exited("/shop/cache", id(10), 4 * SECOND);
    assert_eq!(services.pass_time(4 * SECOND), [], "it may be killed with it");
    assert_eq!(services.pass_time(5 * SECOND).len(), 1);
    assert!(
        services.exited("/shop/cache", id(11), 5 * SECOND).0,
        "and its end counts"
    );
}

#[test]
fn what_is_killed_with_the_main_process_is_part_of_its_end() {
    let mut services = running();
    services.execd("/shop/cache", id(50), Origin::Outside, program("sh"), SECOND);
    services.execd("/shop/cache", id(51), Origin::Outside, program("top"), SECOND);
    assert!(services.exited("/shop/cache", id(10), 2 * SECOND).0);
    for (helper, time_ns) in [(50, 2 * SECOND + 1000), (51, 2 * SECOND + 2000)] {
        assert!(!services.is_main("/shop/cache", id(helper), time_ns));
        assert_eq!(services.exited("/shop/cache", id(helper), time_ns), (false, None));
    }
    let again = restart(&mut services, 11, "v6.2", 2 * SECOND + 3000);
    assert_eq!(again, [], "what ran is what the main process ran");
    assert!(services.exited("/shop/cache", id(11), 9 * SECOND).0);
}

#[test]
fn a_guest_of_a_container_is_never_its_main_process_however_long_it_takes_to_die() {
    let mut services = running();
    services.execd("/shop/cache", id(50), Origin::Guest, program("sh"), SECOND);
    services.execd("/shop/cache", id(50), Origin::Inside, program("grep"), SECOND + 1);
    assert!(services.exited("/shop/cache", id(10), 2 * SECOND).0);
    assert_eq!(services.pass_time(4 * SECOND), []);
    assert_eq!(services.exited("/shop/cache", id(50), 5 * SECOND), (false, None));
}

#[test]
fn the_main_process_is_found_whatever_was_found_before_it() {
    let mut services = Services::default();
    services.found("/shop/cache", id(9), Origin::Guest, program("sh"));
    services.found("/shop/cache", id(10), Origin::Outside, program("v6.2"));
    assert_eq!(services.exited("/shop/cache", id(9), SECOND), (false, None));
    assert!(services.is_main("/shop/cache", id(10), SECOND));
    assert_eq!(restart(&mut services, 11, "v6.2", 5 * SECOND), []);
}

#[test]
fn a_container_that_shares_its_pods_pid_namespace_has_a_main_process() {
    let mut services = Services::default();
    services.execd("/shop/cache", id(10), Origin::Guest, program("v6.2"), SECOND);
    services.execd("/shop/cache", id(50), Origin::Guest, program("sh"), 2 * SECOND);
    assert!(services.exited("/shop/cache", id(10), 3 * SECOND).0);
    assert!(!services.exited("/shop/cache", id(50), 3 * SECOND).0);
}

#[test]
fn a_service_that_stayed_empty_is_forgotten() {
    let mut services = running();
    services.exited("/shop/cache", id(10), SECOND);
    services.pass_time(SECOND + FORGOTTEN_AFTER_NS);
    assert!(services.services.is_empty());
}
