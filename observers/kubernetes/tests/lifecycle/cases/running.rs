//! Containers that do not stay up or are not ready, and pods that are evicted.

use bus_schema::event::kubernetes::{Reason, State};

use super::{pod, runs, waits};
use crate::case::Case;

const POD: &str = "Pod/$N/p";

fn crashes(name: &'static str, spec: &str, reason: Reason) -> Case {
    Case::new(name, pod(spec))
        .tells(State::CrashLooping, reason, POD)
        .detail("container", "c")
}

fn unready(name: &'static str, spec: &str, reason: Reason) -> Case {
    Case::new(name, pod(spec)).tells(State::NotReady, reason, POD)
}

pub(super) fn cases() -> Vec<Case> {
    let probe = |kind: &str, more: &str| {
        waits(&format!(
            "{kind}: {{exec: {{command: [/bin/sh, -c, 'echo sorry; exit 1']}}, periodSeconds: 1, {more}}}"
        ))
    };
    // One process that ends by a signal, of which its parent tells as shells do.
    let signalled = "/bin/sh -c \"kill -SEGV \\$\\$\"; exit $?";
    let limited = "resources: {limits: {memory: 16Mi}}";
    let fills = "volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}], ".to_owned()
        + &runs(
            "dd if=/dev/zero of=/v/f bs=1M count=8; sleep 3600",
            "volumeMounts: [{name: v, mountPath: /v}]",
        );
    let drained = Case {
        then: "kubectl -n $N wait pod/p --for=condition=Ready --timeout=120s
            echo '{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"p\"}}' | kubectl create --raw /api/v1/namespaces/$N/pods/p/eviction -f -",
        mend: "true",
        ..Case::new("t-drained", pod(&waits("")).replace("terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 2"))
    };
    vec![
        crashes("t-crash", &runs("exit 7", ""), Reason::ExitedWithError).detail("exit_code", "7"),
        crashes("t-ends", &runs("exit 0", ""), Reason::ExitedWithSuccess).detail("exit_code", "0"),
        crashes("t-signal", &runs(signalled, ""), Reason::Signalled).detail("signal", "11"),
        crashes(
            "t-memory-limit",
            &runs("exec tail /dev/zero", limited),
            Reason::OomKilled,
        )
        .detail("exit_code", "137"),
        crashes(
            "t-liveness",
            &probe("livenessProbe", "failureThreshold: 1"),
            Reason::LivenessProbe,
        )
        .detail("probe", "liveness")
        .message("Liveness probe failed: sorry"),
        unready(
            "t-readiness",
            &probe("readinessProbe", ""),
            Reason::ReadinessProbe,
        )
        .detail("probe", "readiness")
        .message("Readiness probe failed: sorry"),
        unready(
            "t-startup",
            &probe("startupProbe", "failureThreshold: 10000"),
            Reason::StartupProbe,
        )
        .message("Startup probe failed: sorry"),
        unready(
            "t-gate",
            &format!(
                "readinessGates: [{{conditionType: example.com/ok}}], {}",
                waits("")
            ),
            Reason::ReadinessGate,
        )
        .detail("gate", "example.com/ok"),
        Case::new("t-evicted", pod(&fills))
            .tells(State::Evicted, Reason::EphemeralStorage, POD)
            .object("Node//lab")
            .detail("volume", "v"),
        drained
            .tells(State::Evicted, Reason::Drained, POD)
            .object("Node//lab"),
    ]
}
