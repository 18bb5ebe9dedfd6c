//! What is said of a pod template, and what is not.

use super::super::super::entries::Entries;
use super::super::super::entries::tests::lines;
use super::super::tests::content;
use super::*;

fn deployment(container: &str, rest: &str) -> Content {
    let json = format!(
        r#"{{"spec": {{"replicas": 2, "selector": {{}}, "strategy": {{"type": "RollingUpdate"}}, "template":
            {{"metadata": {{"labels": {{"app": "shop"}}}}, "spec": {{"containers": [{{"name": "c", "image": "i:1", {container}}}] {rest}}}}}}}}}"#
    );
    content("Deployment", &json)
}

fn spec(container: &str, rest: &str) -> Entries {
    deployment(container, rest).entries
}

#[test]
fn limits_are_told_with_both_values() {
    let old = spec(r#""resources": {"limits": {"memory": "128Mi", "cpu": "1"}}"#, "");
    let new = spec(r#""resources": {"limits": {"memory": "12Mi"}}"#, "");
    assert_eq!(
        lines(&old, &new),
        [
            "Resources c limits.cpu: 1 -> -",
            "Resources c limits.memory: 128Mi -> 12Mi"
        ]
    );
    assert_eq!(lines(&old, &old), Vec::<String>::new());
}

#[test]
fn what_may_be_secret_is_told_by_name_alone() {
    let old = spec(
        r#""env": [{"name": "URL", "value": "token-1"}, {"name": "GONE", "value": "a"}], "args": ["--password=token-1"],
           "livenessProbe": {"exec": {"command": ["check", "token-1"]}, "periodSeconds": 5}, "startupProbe": {"httpGet": {"path": "/up?key=token-1"}}"#,
        "",
    );
    let new = spec(
        r#""env": [{"name": "URL", "value": "token-2"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
           "args": ["--password=token-2"],
           "livenessProbe": {"exec": {"command": ["check", "token-2"]}, "periodSeconds": 9}, "startupProbe": {"httpGet": {"path": "/up?key=token-2"}}"#,
        "",
    );
    let told = lines(&old, &new);
    assert_eq!(
        told,
        [
            "Environment c GONE:  -> -",
            "Environment c KEY: - -> secretKeyRef db password",
            "Environment c URL:  -> ",
            "Command c args:  -> ",
            "Probes c livenessProbe.exec.command:  -> ",
            "Probes c livenessProbe.periodSeconds: 5 -> 9",
            "Probes c startupProbe.httpGet.path: /up -> /up",
        ]
    );
    assert!(!format!("{old:?} {told:?}").contains("token"));
}

#[test]
fn what_is_mounted_and_served_has_its_name() {
    let old = spec(
        r#""ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}], "volumeMounts": [{"mountPath": "/etc/shop", "name": "settings"}]"#,
        r#", "volumes": [{"name": "settings", "configMap": {"name": "one"}}], "nodeSelector": {"disk": "ssd"}"#,
    );
    let new = spec(
        r#""ports": [{"name": "http", "containerPort": 8081, "protocol": "TCP"}], "volumeMounts": [{"mountPath": "/etc/shop", "name": "settings"}]"#,
        r#", "volumes": [{"name": "settings", "configMap": {"name": "two"}}], "nodeSelector": {"disk": "hdd"}, "hostPID": true"#,
    );
    assert_eq!(
        lines(&old, &new),
        [
            "Ports c http: 8080/TCP -> 8081/TCP",
            "Volumes  settings: configMap one -> configMap two",
            "Scheduling  nodeSelector.disk: ssd -> hdd",
            "Other  hostPID: - -> ",
        ]
    );
}

#[test]
fn another_part_of_a_source_is_a_difference_of_its_volume() {
    let volume = |item: &str| {
        spec(
            r#""args": []"#,
            &format!(
                r#", "volumes": [{{"name": "settings", "configMap": {{"name": "one", "items": [{{"key": "{item}"}}]}}}}]"#
            ),
        )
    };
    assert_eq!(
        lines(&volume("a"), &volume("b")),
        ["Volumes  settings: configMap one -> configMap one"]
    );
}

#[test]
fn all_objects_that_a_template_names_are_references() {
    let content = deployment(
        r#""env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "a"}}}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "key", "key": "b"}}}],
           "envFrom": [{"configMapRef": {"name": "all"}}, {"prefix": "P_", "secretRef": {"name": "all"}}]"#,
        r#", "imagePullSecrets": [{"name": "pull"}], "volumes": [{"name": "a", "configMap": {"name": "files"}}, {"name": "b", "secret": {"secretName": "files"}},
           {"name": "c", "persistentVolumeClaim": {"claimName": "disk"}}, {"name": "d", "emptyDir": {}},
           {"name": "e", "projected": {"sources": [{"configMap": {"name": "part"}}, {"secret": {"name": "part"}}, {"serviceAccountToken": {"path": "token"}}]}}]"#,
    );
    let Reach::Itself(pods) = content.reach else {
        panic!("{:?}", content.reach);
    };
    let names: Vec<_> = pods
        .references
        .iter()
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect();
    assert_eq!(
        names,
        [
            "ConfigMap/all",
            "ConfigMap/env",
            "ConfigMap/files",
            "ConfigMap/part",
            "PersistentVolumeClaim/disk",
            "Secret/all",
            "Secret/files",
            "Secret/key",
            "Secret/part",
            "Secret/pull",
        ]
    );
    assert_eq!(&*pods.labels["app"], "shop");
}

#[test]
fn images_labels_and_annotations_are_no_difference_but_another_template() {
    let of = |image: &str, label: &str| {
        content(
            "DaemonSet",
            &format!(
                r#"{{"spec": {{"template": {{"metadata": {{"labels": {{"a": "{label}"}}}}, "spec": {{"containers": [{{"name": "c", "image": "{image}"}}]}}}}}}}}"#
            ),
        )
    };
    let (old, new) = (of("i:1", "x"), of("i:2", "y"));
    assert_eq!(lines(&old.entries, &new.entries), Vec::<String>::new());
    assert_ne!(old.images, new.images);
    assert_ne!(of("i:1", "x").template, of("i:1", "y").template);
    assert_eq!(old.template, of("i:1", "x").template);
}
