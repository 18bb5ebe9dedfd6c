//! Pods that cannot be created, rollouts that are stuck, jobs that fail.

use bus_schema::event::kubernetes::{Reason, State};

use super::{container, job, runs, waits, workload};
use crate::case::Case;

const DEPLOYMENT: &str = "Deployment/$N/w";

fn quota(hard: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q}}, spec: {{hard: {{{hard}}}}}}}\n---\n"
    )
}

fn refused(name: &'static str, rule: &str, more: &str, reason: Reason, subject: &'static str) -> Case {
    let kind = subject.split('/').next().unwrap();
    let made = match kind {
        "Job" => job("", &waits(more)),
        "StatefulSet" => workload(kind, "serviceName: w,", &waits(more)),
        _ => workload(kind, "", &waits(more)),
    };
    // A quota counts only after its controller has seen it.
    let case = Case {
        before: "true",
        ..Case::new(name, format!("{rule}{made}"))
    };
    case.tells(State::NotCreated, reason, subject)
}

pub(super) fn cases() -> Vec<Case> {
    let none = quota("pods: '0'");
    let by_quota = |name, subject| {
        refused(name, &none, "", Reason::QuotaExceeded, subject)
            .object("ResourceQuota/$N/q")
            .detail("resource", "pods")
            .mended_by("kubectl -n $N delete quota q")
    };
    let bounds = "{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [{type: Container, max: {memory: 64Mi}}]}}\n---\n";
    let large = "resources: {limits: {memory: 128Mi}, requests: {memory: 128Mi}}";
    let restricted = Case {
        before: "kubectl label namespace $N pod-security.kubernetes.io/enforce=restricted",
        ..refused("t-pod-security", "", "", Reason::AdmissionDenied, DEPLOYMENT)
    };
    let account = format!("serviceAccountName: robot, {}", waits(""));
    let unknown = container("").replace("lab/busybox:1", "lab/unknown:1");
    vec![
        by_quota("t-quota", DEPLOYMENT),
        by_quota("t-quota-stateful", "StatefulSet/$N/w"),
        by_quota("t-quota-daemon", "DaemonSet/$N/w"),
        by_quota("t-quota-job", "Job/$N/w"),
        refused(
            "t-quota-silent",
            &quota("limits.memory: 1Gi"),
            "",
            Reason::QuotaExceeded,
            DEPLOYMENT,
        )
        .object("ResourceQuota/$N/q")
        .detail("resource", "limits.memory"),
        refused("t-limit-range", bounds, large, Reason::LimitRange, DEPLOYMENT).detail("resource", "memory"),
        restricted.detail("policy", "restricted:latest"),
        Case::new("t-account", workload("Deployment", "", &account))
            .mended_by("kubectl -n $N create serviceaccount robot")
            .tells(State::NotCreated, Reason::ServiceAccountMissing, DEPLOYMENT)
            .object("ServiceAccount/$N/robot"),
        Case::new("t-stuck", workload("Deployment", "progressDeadlineSeconds: 5,", &unknown))
            .mended_by("kubectl -n $N set image deployment/w c=lab/busybox:1 > /dev/null
                kubectl -n $N patch deployment w --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[\"/bin/sleep\",\"3600\"]}]'")
            .tells(State::NotStarted, Reason::ImageNeverPulled, DEPLOYMENT)
            .detail("image", "lab/unknown:1")
            .tells(State::RolloutStuck, Reason::ProgressDeadlineExceeded, DEPLOYMENT),
        Case::new("t-job-failed", job("backoffLimit: 0,", &runs("exit 1", "")))
            .tells(State::JobFailed, Reason::BackoffLimitExceeded, "Job/$N/w"),
        Case::new("t-job-deadline", job("activeDeadlineSeconds: 3,", &waits("")))
            .tells(State::JobFailed, Reason::DeadlineExceeded, "Job/$N/w"),
    ]
}
