//! Pods that no node takes, and claims without a volume.

use bus_schema::event::kubernetes::{Reason, State};

use super::{pod, waits, workload};
use crate::case::Case;

const POD: &str = "Pod/$N/p";

fn unschedulable(name: &'static str, spec: &str, reason: Reason) -> Case {
    let spec = format!("{spec} {}", waits(""));
    Case::new(name, pod(&spec))
        .mended_by("kubectl -n $N delete pod p")
        .tells(State::Unschedulable, reason, POD)
}

fn wanting(name: &'static str, resource: &'static str, amount: &str) -> Case {
    let spec = waits(&format!(
        "resources: {{requests: {{{resource}: '{amount}'}}, limits: {{{resource}: '{amount}'}}}}"
    ));
    Case::new(name, pod(&spec))
        .mended_by("kubectl -n $N delete pod p")
        .tells(State::Unschedulable, Reason::InsufficientResource, POD)
        .detail("resource", resource)
}

pub(super) fn cases() -> Vec<Case> {
    let affinity = "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
        [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: nobody}}}]}},";
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: nowhere, whenUnsatisfiable: DoNotSchedule, \
        labelSelector: {matchLabels: {app: p}}}],";
    let claims =
        |name: &str| format!("volumes: [{{name: v, persistentVolumeClaim: {{claimName: {name}}}}}], ");
    let claim = |class: &str| {
        format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data}}, spec: {{storageClassName: '{class}', \
             accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}\n---\n"
        )
    };
    let port = waits("ports: [{containerPort: 80, hostPort: 31999}]");
    let first = pod(&format!("nodeName: lab, {port}")).replace("name: p,", "name: first,");
    let data = "PersistentVolumeClaim/$N/data";
    let memory = "resources: {requests: {memory: 1000Gi}}";
    vec![
        wanting("t-cpu", "cpu", "1000"),
        wanting("t-dongle", "example.com/dongle", "1"),
        Case::new("t-memory", workload("Deployment", "", &waits(memory)))
            .mended_by("kubectl -n $N set resources deployment/w --requests=memory=1Mi")
            .tells(
                State::Unschedulable,
                Reason::InsufficientResource,
                "Deployment/$N/w",
            )
            .detail("resource", "memory"),
        unschedulable(
            "t-node-selector",
            "nodeSelector: {disk: none},",
            Reason::NodeSelector,
        ),
        unschedulable("t-pod-affinity", affinity, Reason::PodAffinity),
        unschedulable("t-spread", spread, Reason::PodAffinity),
        unschedulable("t-claim-missing", &claims("none"), Reason::VolumeUnbound)
            .object("PersistentVolumeClaim/$N/none"),
        Case::new("t-host-port", first + &pod(&port))
            .mended_by("kubectl -n $N delete pod first")
            .tells(State::Unschedulable, Reason::HostPortTaken, POD)
            .detail("port", "31999"),
        Case::new(
            "t-claim-unbound",
            claim("") + &pod(&(claims("data") + &waits(""))),
        )
        .tells(State::VolumePending, Reason::NoMatchingVolume, data)
        .tells(State::Unschedulable, Reason::VolumeUnbound, POD),
        Case::new("t-class-missing", claim("nope"))
            .tells(State::VolumePending, Reason::StorageClassMissing, data)
            .object("StorageClass//nope")
            .detail("storage_class", "nope"),
    ]
}

pub(super) fn alone() -> Vec<Case> {
    let untaint = "kubectl taint node lab dedicated- > /dev/null";
    let tainted = Case::new("t-taint", pod(&waits("")));
    let tainted = Case {
        before: "kubectl taint node lab dedicated=batch:NoSchedule",
        mend: untaint,
        ..tainted
    };
    let cordoned = Case {
        before: "kubectl cordon lab",
        mend: "kubectl uncordon lab",
        ..Case::new("t-cordon", pod(&waits("")))
    };
    let dongle = "resources: {requests: {example.com/key: '1'}, limits: {example.com/key: '1'}}";
    let high = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: t-high}, value: 1000}\n---\n";
    let preempted = Case {
        before: "kubectl patch node lab --subresource=status -p '{\"status\":{\"capacity\":{\"example.com/key\":\"1\"}}}'
            until kubectl get node lab -o jsonpath='{.status.allocatable}' | grep -q example.com/key; do sleep 0.2; done",
        then: "kubectl -n $N wait pod/p --for=condition=Ready --timeout=60s
            kubectl -n $N run p2 --image=lab/busybox:1 --image-pull-policy=Never --overrides='{\"spec\":{\"priorityClassName\":\"t-high\",
              \"containers\":[{\"name\":\"c\",\"image\":\"lab/busybox:1\",\"imagePullPolicy\":\"Never\",\"command\":[\"/bin/sleep\",\"3600\"],
              \"resources\":{\"limits\":{\"example.com/key\":\"1\"}}}]}}'",
        mend: "true",
        after: "kubectl delete priorityclass t-high",
        ..Case::new("t-preempted", format!("{high}{}", pod(&waits(dongle))))
    };
    vec![
        tainted
            .tells(State::Unschedulable, Reason::UntoleratedTaint, POD)
            .detail("taint", "dedicated=batch:NoSchedule"),
        cordoned.tells(State::Unschedulable, Reason::Cordoned, POD),
        preempted
            .tells(State::Evicted, Reason::Preempted, POD)
            .object("Node//lab"),
    ]
}
