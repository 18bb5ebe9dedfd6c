//! States of pods.

use serde_json::json;

use super::*;

const NOT_FOUND: &str = "Back-off pulling image \"web:9\": ErrImagePull: web:9: not found";

pub(super) fn ready(since: u64) -> Value {
    pod(&status("Running", true, &running(since), 0, &json!({})))
}

fn unready(since: u64) -> Value {
    pod(&status("Running", false, &running(since), 0, &json!({})))
}

#[test]
fn a_pulled_image_ends_the_state_and_its_two_names_are_one() {
    let mut case = Case::new();
    let pending = |reason: &str, message: &str| {
        pod(&status(
            "Pending",
            false,
            &waiting(reason, message),
            0,
            &json!({}),
        ))
    };
    case.see(pending("ErrImagePull", "web:9: not found"));
    case.see(pending("ImagePullBackOff", NOT_FOUND));
    case.see(pending("ErrImagePull", "web:9: not found"));
    case.see(pending("ImagePullBackOff", "Back-off pulling image \"web:9\""));
    let told = case.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].body.reason, Reason::ImageNotFound);
    assert_eq!(told[0].body.details["image"], "web:1");
    assert_eq!(told[0].subject.container.as_ref().unwrap().name, "web");
    assert_eq!(told[0].body.since_ns, START_NS + SECOND_NS);
    case.see(ready(5));
    assert_eq!(
        case.lines(),
        [line(State::NotStarted, false, Reason::ImageNotFound, "")]
    );
}

#[test]
fn what_a_container_refers_to_is_the_object() {
    let mut case = Case::new();
    let missing = waiting("CreateContainerConfigError", "secret \"token\" not found");
    case.see(pod(&status("Pending", false, &missing, 0, &json!({}))));
    let missing = waiting(
        "CreateContainerConfigError",
        "couldn't find key pass in Secret shop/token",
    );
    case.see(pod(&status("Pending", false, &missing, 0, &json!({}))));
    case.wait(3);
    case.lose(Kind::Pod, "web-1");
    let secret = "Secret/shop/token";
    assert_eq!(
        case.lines(),
        [
            line(State::NotStarted, true, Reason::SecretMissing, secret),
            line(State::NotStarted, true, Reason::KeyMissing, secret),
            line(State::NotStarted, false, Reason::KeyMissing, secret),
        ]
    );
}

#[test]
fn a_command_that_cannot_be_run_is_no_crash_loop() {
    let mut case = Case::new();
    let mut last = ended(128, "StartError", 1, 1);
    last["terminated"]["message"] =
        "exec: \"/nonexistent\": stat /nonexistent: no such file or directory".into();
    case.see(pod(&status("Running", false, &last, 0, &json!({}))));
    for restarts in 1..6 {
        let backing_off = waiting("CrashLoopBackOff", "back-off 10s");
        case.see(pod(&status("Running", false, &backing_off, restarts, &last)));
        case.see(pod(&status("Running", false, &last, restarts, &last)));
        case.wait(60);
    }
    let told = case.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].body.reason, Reason::BadCommand);
    assert_eq!(told[0].body.details["command"], "/nonexistent");
}

#[test]
fn a_crash_loop_is_one_state_for_as_long_as_it_goes_on() {
    let mut case = Case::new();
    let last = ended(1, "Error", 1, 2);
    case.see(pod(&status("Running", false, &running(2), 1, &last)));
    for round in 0..4 {
        let backing_off = waiting("CrashLoopBackOff", "back-off 5m0s");
        case.see(pod(&status("Running", false, &backing_off, 2 + round, &last)));
        case.wait(300);
        let now = (case.now_ns - START_NS) / SECOND_NS;
        case.see(pod(&status("Running", true, &running(now), 2 + round, &last)));
        case.wait(1);
    }
    let told = case.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].body.state, State::CrashLooping);
    assert_eq!(told[0].severity(), bus_schema::Severity::Error);
    // Now it stays up.
    case.wait(118);
    assert_eq!(case.lines(), []);
    case.wait(2);
    assert_eq!(
        case.lines(),
        [line(State::CrashLooping, false, Reason::ExitedWithError, "")]
    );
}

#[test]
fn a_container_that_a_probe_kills_names_the_probe() {
    let mut case = Case::new();
    case.see(event(
        "pod-1",
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
        3,
        5,
        9,
    ));
    case.see(event(
        "pod-1",
        "Killing",
        "Container web failed liveness probe, will be restarted",
        1,
        9,
        9,
    ));
    let last = ended(137, "Error", 1, 12);
    let backing_off = waiting("CrashLoopBackOff", "back-off 10s");
    case.see(pod(&status("Running", false, &backing_off, 2, &last)));
    let told = case.take();
    assert_eq!(told[0].body.reason, Reason::LivenessProbe);
    assert!(told[0].body.message.contains("statuscode: 500"));
    // The kubelet keeps back what it tells too often.
    let last = ended(137, "Error", 20, 32);
    case.see(pod(&status(
        "Running",
        false,
        &waiting("CrashLoopBackOff", ""),
        3,
        &last,
    )));
    case.wait(60);
    assert_eq!(case.lines(), []);
}

#[test]
fn a_runtime_that_forgets_to_say_that_a_kill_was_for_memory_does_not_change_the_reason() {
    let mut case = Case::new();
    for (restarts, reason) in [(2, "OOMKilled"), (3, "Error"), (4, "OOMKilled")] {
        let last = ended(137, reason, 1, 2);
        case.see(pod(&status(
            "Running",
            false,
            &waiting("CrashLoopBackOff", ""),
            restarts,
            &last,
        )));
        case.wait(60);
    }
    assert_eq!(
        case.lines(),
        [line(State::CrashLooping, true, Reason::OomKilled, "")]
    );
    let last = ended(1, "Error", 1, 2);
    case.see(pod(&status(
        "Running",
        false,
        &waiting("CrashLoopBackOff", ""),
        5,
        &last,
    )));
    case.wait(60);
    assert_eq!(
        case.lines(),
        [line(State::CrashLooping, true, Reason::ExitedWithError, "")]
    );
}

#[test]
fn one_restart_is_no_state() {
    let mut case = Case::new();
    case.see(ready(1));
    let last = ended(1, "Error", 1, 50);
    case.see(pod(&status("Running", false, &last, 0, &json!({}))));
    case.see(pod(&status("Running", false, &running(51), 1, &last)));
    case.wait(10);
    case.see(pod(&status("Running", true, &running(51), 1, &last)));
    case.wait(600);
    assert_eq!(case.lines(), []);
}

#[test]
fn a_pod_that_stops_being_ready_is_told_at_once_and_one_that_starts_after_a_while() {
    let mut case = Case::new();
    case.see(unready(0));
    case.wait(29);
    assert_eq!(case.lines(), []);
    case.wait(2);
    assert_eq!(
        case.lines(),
        [line(State::NotReady, true, Reason::ReadinessProbe, "")]
    );
    case.see(ready(0));
    assert_eq!(
        case.lines(),
        [line(State::NotReady, false, Reason::ReadinessProbe, "")]
    );
    case.see(event(
        "pod-1",
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.0.0.7:80: connect: connection refused",
        3,
        30,
        31,
    ));
    case.see(unready(0));
    let told = case.take();
    assert_eq!(told.len(), 1);
    assert!(told[0].body.message.contains("connection refused"));
}

#[test]
fn a_pod_that_is_being_deleted_is_not_called_unready() {
    let mut case = Case::new();
    case.see(ready(0));
    case.wait(100);
    let mut leaving = unready(0);
    leaving["metadata"]["deletionTimestamp"] = at(100).into();
    case.see(leaving);
    case.wait(100);
    case.lose(Kind::Pod, "web-1");
    assert_eq!(case.lines(), []);
}

#[test]
fn a_pod_that_is_unready_stays_so_while_its_container_is_restarted() {
    let mut case = Case::new();
    case.see(unready(0));
    case.wait(40);
    let last = ended(137, "Error", 0, 41);
    case.see(pod(&status("Running", false, &last, 0, &json!({}))));
    case.see(pod(&status("Running", false, &running(42), 1, &last)));
    case.wait(40);
    let told = case.take();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_mount_that_fails_again_and_again_is_told_and_one_that_fails_once_is_not() {
    let creating = pod(&json!({
        "phase": "Pending",
        "conditions": [condition("PodScheduled", "True", "", "", 0), condition("PodReadyToStartContainers", "False", "", "", 0)],
        "containerStatuses": [{
            "name": "web", "image": "web:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": waiting("ContainerCreating", ""),
        }],
    }));
    let message = "MountVolume.SetUp failed for volume \"conf\" : configmap \"settings\" not found";
    let mut case = Case::new();
    case.see(creating.clone());
    case.see(event("pod-1", "FailedMount", message, 1, 1, 1));
    case.wait(60);
    assert_eq!(case.lines(), []);
    case.see(event("pod-1", "FailedMount", message, 4, 1, 8));
    let settings = "ConfigMap/shop/settings";
    assert_eq!(
        case.lines(),
        [line(State::NotStarted, true, Reason::ConfigMapMissing, settings)]
    );
    case.see(ready(70));
    case.see(event("pod-1", "FailedMount", message, 4, 1, 8));
    assert_eq!(
        case.lines(),
        [line(State::NotStarted, false, Reason::ConfigMapMissing, settings)]
    );
}

#[test]
fn an_init_container_that_fails_is_one_state_until_it_succeeds() {
    let with_init = |state: Value, restarts: i32, last: Value| {
        let mut status = status("Pending", false, &waiting("PodInitializing", ""), 0, &json!({}));
        status["initContainerStatuses"] = json!([{
            "name": "migrate", "image": "web:1", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last,
        }]);
        let mut pod = pod(&status);
        pod["spec"]["initContainers"] = json!([{"name": "migrate"}]);
        pod
    };
    let mut case = Case::new();
    let last = ended(3, "Error", 1, 2);
    case.see(with_init(
        waiting("CrashLoopBackOff", "back-off"),
        2,
        last.clone(),
    ));
    case.see(with_init(running(20), 3, last.clone()));
    case.see(with_init(ended(3, "Error", 20, 21), 3, last.clone()));
    case.see(with_init(waiting("CrashLoopBackOff", "back-off"), 3, last));
    let told = case.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].body.reason, Reason::InitContainerFailed);
    assert_eq!(told[0].body.details["exit_code"], "3");
    assert_eq!(told[0].body.details["container"], "migrate");
    case.see(ready(60));
    assert_eq!(
        case.lines(),
        [line(State::NotStarted, false, Reason::InitContainerFailed, "")]
    );
}

#[test]
fn an_evicted_pod_is_told_once_and_ends_with_its_object() {
    let mut case = Case::new();
    case.see(ready(1));
    let mut evicted = pod(
        &json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}),
    );
    case.see(evicted.clone());
    evicted["metadata"]["labels"]["more"] = "x".into();
    case.see(evicted);
    case.wait(600);
    case.lose(Kind::Pod, "web-1");
    let node = "Node//n1";
    assert_eq!(
        case.lines(),
        [
            line(State::Evicted, true, Reason::MemoryPressure, node),
            line(State::Evicted, false, Reason::MemoryPressure, node),
        ]
    );
}
