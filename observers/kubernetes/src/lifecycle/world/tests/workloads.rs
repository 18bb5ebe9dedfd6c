//! States of workloads and jobs.

use serde_json::json;

use super::*;

fn deployment(conditions: &Value) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "shop", "uid": "web", "creationTimestamp": at(0), "generation": 2},
        "spec": {"replicas": 1, "selector": {}, "template": {"metadata": {"labels": {"app": "web"}}}},
        "status": {"observedGeneration": 2, "conditions": conditions},
    })
}

fn set(kind: &str, created: i32, updated: i32, ready: i32) -> Value {
    let mut set = json!({
        "kind": kind, "apiVersion": "apps/v1",
        "metadata": {"name": "db", "namespace": "shop", "uid": "db", "creationTimestamp": at(0), "generation": 2},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": created, "updatedReplicas": updated, "readyReplicas": ready,
            "currentRevision": "a", "updateRevision": "b",
        },
    });
    if kind == "DaemonSet" {
        set["status"] = json!({
            "observedGeneration": 2, "currentNumberScheduled": created, "desiredNumberScheduled": 2, "numberMisscheduled": 0,
            "numberReady": ready, "updatedNumberScheduled": updated,
        });
    }
    set
}

#[test]
fn a_deployment_says_itself_what_it_cannot_create_and_that_it_is_stuck() {
    let mut case = Case::new();
    let quota = "pods \"web-\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=0, limited: pods=0";
    let failure = condition("ReplicaFailure", "True", "FailedCreate", quota, 1);
    let stuck = condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        "ReplicaSet \"web-a\" has timed out progressing.",
        9,
    );
    case.see(deployment(&json!([failure])));
    case.see(deployment(&json!([failure, stuck])));
    case.see(deployment(&json!([])));
    let compute = "ResourceQuota/shop/compute";
    assert_eq!(
        case.lines(),
        [
            line(State::NotCreated, true, Reason::QuotaExceeded, compute),
            line(State::RolloutStuck, true, Reason::ProgressDeadlineExceeded, ""),
            line(State::NotCreated, false, Reason::QuotaExceeded, compute),
            line(State::RolloutStuck, false, Reason::ProgressDeadlineExceeded, ""),
        ]
    );
}

#[test]
fn sets_tell_by_events_what_they_cannot_create_as_long_as_they_cannot() {
    for kind in ["StatefulSet", "DaemonSet"] {
        let mut case = Case::new();
        case.see(set(kind, 1, 1, 1));
        let message = "Error creating: pods \"db-1\" is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi";
        case.see(event("db", "FailedCreate", message, 1, 1, 1));
        case.wait(30);
        case.see(event("db", "FailedCreate", message, 5, 1, 30));
        assert_eq!(
            case.lines(),
            [line(State::NotCreated, true, Reason::LimitRange, "")],
            "{kind}"
        );
        case.wait(5);
        case.see(set(kind, 2, 2, 2));
        case.see(set(kind, 1, 1, 1));
        assert_eq!(
            case.lines(),
            [line(State::NotCreated, false, Reason::LimitRange, "")],
            "{kind}: an old Event is no new state"
        );
    }
}

#[test]
fn a_set_that_makes_no_progress_for_ten_minutes_is_stuck() {
    let mut case = Case::new();
    case.see(set("StatefulSet", 2, 0, 2));
    case.wait(500);
    case.see(set("StatefulSet", 2, 1, 1));
    case.wait(599);
    assert_eq!(case.lines(), []);
    case.wait(1);
    assert_eq!(
        case.lines(),
        [line(
            State::RolloutStuck,
            true,
            Reason::ProgressDeadlineExceeded,
            ""
        )]
    );
    case.see(set("StatefulSet", 2, 2, 2));
    // A pod that fails later is no rollout.
    case.see(set("StatefulSet", 2, 2, 1));
    case.wait(1_000);
    assert_eq!(
        case.lines(),
        [line(
            State::RolloutStuck,
            false,
            Reason::ProgressDeadlineExceeded,
            ""
        )]
    );
}

#[test]
fn a_failed_job_stays_failed_until_it_is_deleted() {
    let mut case = Case::new();
    let job = |conditions: Value| {
        json!({
            "kind": "Job", "apiVersion": "batch/v1",
            "metadata": {"name": "report", "namespace": "shop", "uid": "job", "creationTimestamp": at(0)},
            "status": {"failed": 1, "conditions": conditions},
        })
    };
    case.see(job(json!([])));
    let failed = condition(
        "Failed",
        "True",
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
        9,
    );
    case.see(job(json!([failed])));
    case.wait(3_600);
    case.lose(Kind::Job, "report");
    let told = case.take();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].subject.key(), "Job/shop/report");
    assert_eq!(told[0].body.reason, Reason::BackoffLimitExceeded);
    assert!(!told[1].body.holds);
}
