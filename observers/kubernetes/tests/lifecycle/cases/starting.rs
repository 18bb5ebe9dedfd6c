//! Containers that are not started.

use bus_schema::event::kubernetes::{Reason, State};

use super::{container, pod, runs, waits};
use crate::case::Case;
use crate::registry::Registry;

const POD: &str = "Pod/$N/p";
const SETTINGS: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}\n---\n";
const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: settings}, stringData: {a: b}}\n---\n";

fn not_started(name: &'static str, spec: &str, reason: Reason) -> Case {
    Case::new(name, pod(spec)).tells(State::NotStarted, reason, POD)
}

fn image(name: &'static str, image: &str, policy: &str, reason: Reason) -> Case {
    let spec = container("")
        .replace("lab/busybox:1", image)
        .replace("Never", policy);
    not_started(name, &spec, reason)
}

fn reads(kind: &str, key: &str) -> String {
    waits(&format!(
        "env: [{{name: V, valueFrom: {{{kind}: {{name: settings, key: {key}}}}}}}]"
    ))
}

fn mounts(volume: &str) -> String {
    let volumes = format!("volumes: [{{name: v, {volume}}}], ");
    volumes + &waits("volumeMounts: [{name: v, mountPath: /v}]")
}

pub(super) fn cases(registry: &Registry) -> Vec<Case> {
    let mut cases = images(registry);
    cases.extend(references());
    cases.extend(volumes());
    cases.extend(commands());
    cases
}

fn with(name: &'static str, objects: &str, spec: &str, reason: Reason) -> Case {
    Case {
        objects: format!("{objects}{}", pod(spec)),
        ..not_started(name, spec, reason)
    }
}

fn images(registry: &Registry) -> Vec<Case> {
    let empty = format!("{}/web:1", registry.empty);
    let closed = format!("{}/web:1", registry.closed);
    vec![
        image(
            "t-image-never",
            "lab/unknown:1",
            "Never",
            Reason::ImageNeverPulled,
        )
        .detail("image", "lab/unknown:1"),
        image("t-image-name", "UPPER:1", "Always", Reason::ImageNameInvalid),
        image(
            "t-registry-silent",
            "127.0.0.1:1/web:1",
            "Always",
            Reason::RegistryUnreachable,
        )
        .detail("image", "127.0.0.1:1/web:1"),
        image("t-image-missing", &empty, "Always", Reason::ImageNotFound),
        image("t-image-closed", &closed, "Always", Reason::ImageUnauthorized),
    ]
}

fn references() -> Vec<Case> {
    vec![
        not_started(
            "t-config-missing",
            &reads("configMapKeyRef", "a"),
            Reason::ConfigMapMissing,
        )
        .object("ConfigMap/$N/settings")
        .detail("container", "c")
        .mended_by("kubectl -n $N create configmap settings --from-literal=a=b"),
        not_started(
            "t-secret-missing",
            &reads("secretKeyRef", "a"),
            Reason::SecretMissing,
        )
        .object("Secret/$N/settings")
        .mended_by("kubectl -n $N create secret generic settings --from-literal=a=b"),
        with(
            "t-config-key",
            SETTINGS,
            &reads("configMapKeyRef", "port"),
            Reason::KeyMissing,
        )
        .object("ConfigMap/$N/settings")
        .detail("key", "port")
        .mended_by("kubectl -n $N patch configmap settings -p '{\"data\":{\"port\":\"1\"}}'"),
        with(
            "t-secret-key",
            SECRET,
            &reads("secretKeyRef", "port"),
            Reason::KeyMissing,
        )
        .object("Secret/$N/settings")
        .detail("key", "port"),
        // A control: it starts, and nothing is told of it.
        Case::new(
            "t-fine",
            SETTINGS.to_owned() + &pod(&(reads("configMapKeyRef", "a"))),
        ),
        Case::new(
            "t-ends-well",
            pod(&format!("restartPolicy: Never, {}", runs("exit 0", ""))),
        ),
    ]
}

fn volumes() -> Vec<Case> {
    vec![
        not_started(
            "t-mount-config",
            &mounts("configMap: {name: settings}"),
            Reason::ConfigMapMissing,
        )
        .object("ConfigMap/$N/settings")
        .detail("volume", "v")
        .mended_by("kubectl -n $N create configmap settings --from-literal=a=b"),
        not_started(
            "t-mount-secret",
            &mounts("secret: {secretName: settings}"),
            Reason::SecretMissing,
        )
        .object("Secret/$N/settings")
        .detail("volume", "v"),
        with(
            "t-mount-key",
            SETTINGS,
            &mounts("configMap: {name: settings, items: [{key: port, path: port}]}"),
            Reason::KeyMissing,
        )
        .detail("key", "port"),
        not_started(
            "t-mount-path",
            &mounts("hostPath: {path: /nonexistent, type: Directory}"),
            Reason::MountFailed,
        )
        .message("hostPath type check failed"),
    ]
}

fn commands() -> Vec<Case> {
    let init = "initContainers: [{name: i, image: 'lab/busybox:1', imagePullPolicy: Never, command: [/bin/sh, -c, exit 3]}], ";
    vec![
        not_started(
            "t-command",
            &container("command: [/nonexistent]"),
            Reason::BadCommand,
        )
        .detail("command", "/nonexistent"),
        not_started(
            "t-init",
            &format!("{init}{}", waits("")),
            Reason::InitContainerFailed,
        )
        .detail("container", "i")
        .detail("exit_code", "3"),
    ]
}
