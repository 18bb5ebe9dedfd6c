//! A workload's spec as a flat list of named entries, and what differs between two of them.
//!
//! Values that may hold secrets (variables, arguments, commands) and those that would fill a page are compared by a hash
//! whose key this process alone knows, and are never told. Images are left out: they have an event of their own; so are
//! labels and annotations, which change nothing that runs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use bus_schema::event::kubernetes::{Aspect, Difference};
use serde_json::{Map, Value};

/// Differences that one event lists.
const MOST: usize = 32;
/// A value is cut here.
const LONGEST: usize = 200;

/// Aspect, container and name.
type Name = (Aspect, String, String);

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// It may be told.
    Plain(String),
    /// It may not; its hash.
    Hidden(u64),
}

/// A spec, entry by entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spec(BTreeMap<Name, Entry>);

impl Spec {
    /// From a workload's `spec` as JSON.
    pub(super) fn of(spec: &Value) -> Self {
        let mut flat = Self::default();
        for (field, value) in fields(spec) {
            match field.as_str() {
                "replicas" => flat.plain(Aspect::Replicas, "", "", value),
                "template" => flat.pod(value.pointer("/spec").unwrap_or(&Value::Null)),
                // it cannot be changed
                "selector" => {}
                _ => flat.hide(Aspect::Rollout, "", field, value),
            }
        }
        flat
    }

    /// What is different in `now`, at most [`MOST`], and how many more there are.
    pub(super) fn differences(&self, now: &Self) -> (Vec<Difference>, u32) {
        let mut names: Vec<&Name> = self.0.keys().chain(now.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let mut differences: Vec<Difference> = names
            .into_iter()
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .map(|name| {
                let (aspect, container, entry) = name.clone();
                Difference {
                    aspect,
                    container,
                    name: entry,
                    old: self.0.get(name).map(told),
                    new: now.0.get(name).map(told),
                }
            })
            .collect();
        let omitted = differences.len().saturating_sub(MOST);
        differences.truncate(MOST);
        (differences, u32::try_from(omitted).unwrap_or(u32::MAX))
    }

    fn pod(&mut self, pod: &Value) {
        for (field, value) in fields(pod) {
            match field.as_str() {
                "containers" | "initContainers" | "ephemeralContainers" => {
                    for container in items(value) {
                        self.container(container);
                    }
                }
                "volumes" => {
                    for volume in items(value) {
                        self.put(Aspect::Volumes, "", text(volume, "name"), source(volume, "name"));
                    }
                }
                "nodeSelector" => {
                    for (label, value) in fields(value) {
                        self.plain(Aspect::Scheduling, "", &format!("nodeSelector.{label}"), value);
                    }
                }
                "affinity"
                | "tolerations"
                | "topologySpreadConstraints"
                | "nodeName"
                | "priorityClassName" => {
                    self.hide(Aspect::Scheduling, "", field, value);
                }
                _ => self.hide(Aspect::Other, "", field, value),
            }
        }
    }

    fn container(&mut self, container: &Value) {
        let name = text(container, "name");
        for (field, value) in fields(container) {
            match field.as_str() {
                "name" | "image" => {}
                "resources" => self.flatten(Aspect::Resources, name, "", value),
                "command" | "args" => self.hide(Aspect::Command, name, field, value),
                "env" => {
                    for variable in items(value) {
                        self.variable(name, variable);
                    }
                }
                "envFrom" => {
                    for from in items(value) {
                        let source = source(from, "prefix");
                        self.put(Aspect::Environment, name, &source, source.clone());
                    }
                }
                "ports" => {
                    for port in items(value) {
                        let number = scalar(port.get("containerPort").unwrap_or(&Value::Null));
                        let protocol = text(port, "protocol");
                        let label = Some(text(port, "name")).filter(|label| !label.is_empty());
                        self.put(
                            Aspect::Ports,
                            name,
                            label.unwrap_or(&number),
                            format!("{number}/{protocol}"),
                        );
                    }
                }
                "livenessProbe" | "readinessProbe" | "startupProbe" => {
                    self.flatten(Aspect::Probes, name, field, value);
                }
                "volumeMounts" | "volumeDevices" => {
                    for mount in items(value) {
                        self.put(
                            Aspect::Volumes,
                            name,
                            text(mount, "mountPath"),
                            text(mount, "name").to_owned(),
                        );
                    }
                }
                _ => self.hide(Aspect::Other, name, field, value),
            }
        }
    }

    /// A variable's value may be a secret; where it comes from is none.
    fn variable(&mut self, container: &str, variable: &Value) {
        let name = text(variable, "name");
        match variable.get("valueFrom") {
            Some(from) => self.put(Aspect::Environment, container, name, source(from, "")),
            None => self.hide(
                Aspect::Environment,
                container,
                name,
                variable.get("value").unwrap_or(&Value::Null),
            ),
        }
    }

    /// Every number and text below `value`, by its path; lists, which are commands and headers here, are not told.
    fn flatten(&mut self, aspect: Aspect, container: &str, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let path = if path.is_empty() {
                        field.clone()
                    } else {
                        format!("{path}.{field}")
                    };
                    self.flatten(aspect, container, &path, value);
                }
            }
            Value::Array(_) => self.hide(aspect, container, path, value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.plain(aspect, container, path, value);
            }
        }
    }

    fn plain(&mut self, aspect: Aspect, container: &str, name: &str, value: &Value) {
        self.put(aspect, container, name, scalar(value));
    }

    fn put(&mut self, aspect: Aspect, container: &str, name: &str, mut value: String) {
        if let Some((end, _)) = value.char_indices().nth(LONGEST) {
            value.truncate(end);
        }
        self.0.insert(
            (aspect, container.to_owned(), name.to_owned()),
            Entry::Plain(value),
        );
    }

    fn hide(&mut self, aspect: Aspect, container: &str, name: &str, value: &Value) {
        let name = (aspect, container.to_owned(), name.to_owned());
        self.0.insert(name, Entry::Hidden(hash(value)));
    }
}

/// The same for equal values within this process, and for nobody else.
pub(super) fn hash(value: &Value) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(value.to_string())
}

fn told(entry: &Entry) -> String {
    match entry {
        Entry::Plain(value) => value.clone(),
        Entry::Hidden(_) => String::new(),
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn scalar(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Kind of a source and the object that it names, such as `configMap settings` or `secretKeyRef db password`.
fn source(of: &Value, but: &str) -> String {
    /// What names an object, or a part of it, in the kinds of sources that there are.
    const NAMING: [&str; 7] = [
        "name",
        "secretName",
        "claimName",
        "path",
        "key",
        "fieldPath",
        "resource",
    ];
    let Some((kind, source)) = fields(of).find(|(field, value)| *field != but && value.is_object()) else {
        return String::new();
    };
    let parts = NAMING.iter().map(|field| text(source, field));
    let parts = parts.filter(|part| !part.is_empty());
    std::iter::once(kind.as_str())
        .chain(parts)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(container: &str, rest: &str) -> Spec {
        let json = format!(
            r#"{{"replicas": 2, "selector": {{}}, "strategy": {{"type": "RollingUpdate"}}, "template":
                {{"metadata": {{"annotations": {{"restartedAt": "x"}}}}, "spec": {{"containers": [{{"name": "c", "image": "i:1", {container}}}] {rest}}}}}}}"#
        );
        Spec::of(&serde_json::from_str(&json).unwrap())
    }

    /// Each difference on one line.
    fn lines(old: &Spec, new: &Spec) -> Vec<String> {
        let line = |difference: &Difference| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
            let Difference {
                aspect,
                container,
                name,
                old,
                new,
            } = difference;
            format!("{aspect:?} {container} {name}: {} -> {}", value(old), value(new))
        };
        old.differences(new).0.iter().map(line).collect()
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
               "livenessProbe": {"exec": {"command": ["check", "token-1"]}, "periodSeconds": 5}"#,
            "",
        );
        let new = spec(
            r#""env": [{"name": "URL", "value": "token-2"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
               "args": ["--password=token-2"],
               "livenessProbe": {"exec": {"command": ["check", "token-2"]}, "periodSeconds": 9}"#,
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
            r#", "volumes": [{"name": "settings", "configMap": {"name": "two"}}], "nodeSelector": {"disk": "hdd"}, "hostNetwork": true"#,
        );
        assert_eq!(
            lines(&old, &new),
            [
                "Ports c http: 8080/TCP -> 8081/TCP",
                "Volumes  settings: configMap one -> configMap two",
                "Scheduling  nodeSelector.disk: ssd -> hdd",
                "Other  hostNetwork: - -> ",
            ]
        );
    }

    #[test]
    fn how_pods_are_replaced_is_no_part_of_them() {
        let of = |strategy: &str| {
            let text = format!(
                r#"{{"strategy": {{"type": "{strategy}"}}, "template": {{"spec": {{"hostNetwork": true}}}}}}"#
            );
            Spec::of(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(
            lines(&of("Recreate"), &of("RollingUpdate")),
            ["Rollout  strategy:  -> "]
        );
    }

    #[test]
    fn images_labels_and_annotations_are_no_difference_and_many_are_counted() {
        let json = |image: &str, label: &str| {
            let text = format!(
                r#"{{"replicas": 2, "template": {{"metadata": {{"labels": {{"a": "{label}"}}}}, "spec": {{"containers": [{{"name": "c", "image": "{image}"}}]}}}}}}"#
            );
            Spec::of(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(lines(&json("i:1", "x"), &json("i:2", "y")), Vec::<String>::new());
        let variables: Vec<String> = (0..40)
            .map(|n| format!(r#"{{"name": "V{n}", "value": ""}}"#))
            .collect();
        let many = spec(&format!(r#""env": [{}]"#, variables.join(",")), "");
        let (differences, omitted) = spec(r#""env": []"#, "").differences(&many);
        assert_eq!((differences.len(), omitted), (MOST, 8));
    }
}
