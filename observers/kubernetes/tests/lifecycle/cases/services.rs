//! Services without endpoints.

use bus_schema::event::kubernetes::{Reason, State};

use super::{waits, workload};
use crate::case::Case;

const SERVICE: &str = "Service/$N/s";

fn service(app: &str, target: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {{selector: {{app: {app}}}, \
         ports: [{{port: 80, targetPort: {target}}}]}}}}\n---\n"
    )
}

pub(super) fn cases() -> Vec<Case> {
    let port = waits("ports: [{name: http, containerPort: 80}]");
    let served = workload("Deployment", "replicas: 1,", &port);
    let idle = workload("Deployment", "replicas: 0,", &port);
    let never = waits("readinessProbe: {exec: {command: [/bin/sh, -c, exit 1]}, periodSeconds: 1}");
    let unready = workload("Deployment", "", &never);
    let empty = |name, objects: String, reason| {
        Case::new(name, objects).tells(State::WithoutEndpoints, reason, SERVICE)
    };
    vec![
        empty(
            "t-selector",
            service("nobody", "80") + &served,
            Reason::SelectorMatchesNothing,
        )
        .detail("selector", "app=nobody")
        .mended_by("kubectl -n $N patch service s -p '{\"spec\":{\"selector\":{\"app\":\"w\"}}}'"),
        empty("t-zero", service("w", "80") + &idle, Reason::ZeroReplicas)
            .object("Deployment/$N/w")
            .mended_by("kubectl -n $N scale deployment w --replicas=1"),
        empty(
            "t-target-port",
            service("w", "htpp") + &served,
            Reason::WrongTargetPort,
        )
        .detail("port", "htpp")
        .mended_by("kubectl -n $N patch service s -p '{\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}}'"),
        empty("t-unready", service("w", "80") + &unready, Reason::NoReadyPods)
            .tells(State::NotReady, Reason::ReadinessProbe, "Deployment/$N/w"),
        // A control.
        Case::new("t-served", service("w", "http") + &served).mended_by("kubectl -n $N delete service s"),
    ]
}
