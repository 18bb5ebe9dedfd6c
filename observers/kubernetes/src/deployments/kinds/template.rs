//! A pod template: its entries, its images, and the objects to which it refers.
//!
//! Images are no entries where a container stays: they have an event of their own. Labels and annotations change nothing that
//! runs.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, hash, items, items_of, scalar_of, text};
use super::super::index::{CLAIM, CLAIM_TEMPLATE, Pods, Reach};
use super::super::selector::labels;
use super::Content;

const CONFIG_MAP: &str = "ConfigMap";
const SECRET: &str = "Secret";

/// Adds what a template says to what its workload says.
pub(super) fn read(content: &mut Content, template: &Value) {
    let mut reader = Reader {
        content,
        pods: Pods {
            labels: labels(template.pointer("/metadata/labels").unwrap_or(&Value::Null)),
            ..Pods::default()
        },
    };
    reader.pod(template.get("spec").unwrap_or(&Value::Null));
    let pods = reader.pods;
    content.template = Some(hash(template));
    content.reach = Reach::Itself(pods);
}

struct Reader<'a> {
    content: &'a mut Content,
    pods: Pods,
}

impl Reader<'_> {
    fn pod(&mut self, pod: &Value) {
        for (field, value) in fields(pod) {
            let entries = &mut self.content.entries;
            match field.as_str() {
                "containers" | "initContainers" | "ephemeralContainers" => {
                    items(value).for_each(|container| self.container(container));
                }
                "volumes" => items(value).for_each(|volume| self.volume(volume)),
                "imagePullSecrets" => {
                    entries.hide(Aspect::Other, "", field, value);
                    items(value).for_each(|secret| self.refer(SECRET, text(secret, "name")));
                }
                "nodeSelector" => {
                    for (label, value) in fields(value) {
                        entries.flatten(Aspect::Scheduling, "", &format!("nodeSelector.{label}"), value);
                    }
                }
                "nodeName" | "priorityClassName" | "schedulerName" => {
                    entries.flatten(Aspect::Scheduling, "", field, value);
                }
                "affinity" | "tolerations" | "topologySpreadConstraints" | "runtimeClassName" => {
                    entries.hide(Aspect::Scheduling, "", field, value);
                }
                "serviceAccountName"
                | "restartPolicy"
                | "dnsPolicy"
                | "terminationGracePeriodSeconds"
                | "activeDeadlineSeconds"
                | "hostNetwork" => {
                    entries.flatten(Aspect::Other, "", field, value);
                }
                // the former name of serviceAccountName, kept equal to it by the API server
                "serviceAccount" => {}
                _ => entries.hide(Aspect::Other, "", field, value),
            }
        }
    }

    fn container(&mut self, container: &Value) {
        let name = text(container, "name");
        self.content
            .images
            .insert(name.into(), text(container, "image").into());
        for (field, value) in fields(container) {
            let entries = &mut self.content.entries;
            match field.as_str() {
                "name" | "image" => {}
                "resources" => entries.flatten(Aspect::Resources, name, "", value),
                "command" | "args" => entries.hide(Aspect::Command, name, field, value),
                "env" => items(value).for_each(|variable| self.variable(name, variable)),
                "envFrom" => items(value).for_each(|from| self.variables(name, from)),
                "ports" => items(value).for_each(|port| self.port(name, port)),
                "livenessProbe" | "readinessProbe" | "startupProbe" => {
                    entries.flatten(Aspect::Probes, name, field, value);
                }
                "volumeMounts" => {
                    for mount in items(value) {
                        let (path, volume) = (text(mount, "mountPath"), text(mount, "name"));
                        entries.tell_of(Aspect::Volumes, name, path, volume, mount);
                    }
                }
                "volumeDevices" => {
                    for device in items(value) {
                        let (path, volume) = (text(device, "devicePath"), text(device, "name"));
                        entries.tell_of(Aspect::Volumes, name, path, volume, device);
                    }
                }
                "imagePullPolicy" | "workingDir" | "restartPolicy" => {
                    entries.flatten(Aspect::Other, name, field, value);
                }
                _ => entries.hide(Aspect::Other, name, field, value),
            }
        }
    }

    /// A variable's value may be a secret; where it comes from is none.
    fn variable(&mut self, container: &str, variable: &Value) {
        let name = text(variable, "name");
        let entries = &mut self.content.entries;
        match variable.get("valueFrom") {
            Some(from) => {
                entries.tell_of(Aspect::Environment, container, name, source(from, ""), from);
                self.refer_to(from);
            }
            None => entries.hide(
                Aspect::Environment,
                container,
                name,
                variable.get("value").unwrap_or(&Value::Null),
            ),
        }
    }

    /// All variables of a `ConfigMap` or Secret.
    fn variables(&mut self, container: &str, from: &Value) {
        let source = source(from, "prefix");
        let entries = &mut self.content.entries;
        entries.tell_of(Aspect::Environment, container, &source, source.clone(), from);
        self.refer_to(from);
    }

    fn port(&mut self, container: &str, port: &Value) {
        let number = scalar_of(port, "containerPort");
        let told = format!("{number}/{}", text(port, "protocol"));
        let label = Some(text(port, "name")).filter(|label| !label.is_empty());
        let name = label.unwrap_or(&number);
        let entries = &mut self.content.entries;
        entries.tell_of(Aspect::Ports, container, name, told, port);
    }

    fn volume(&mut self, volume: &Value) {
        let projected: Vec<_> = volume
            .pointer("/projected/sources")
            .into_iter()
            .flat_map(items)
            .collect();
        let told = if projected.is_empty() {
            source(volume, "name")
        } else {
            let sources: Vec<_> = projected.iter().map(|from| source(from, "")).collect();
            format!("projected {}", sources.join(", "))
        };
        let entries = &mut self.content.entries;
        entries.tell_of(Aspect::Volumes, "", text(volume, "name"), told, volume);
        self.refer_to(volume);
        for from in projected {
            self.refer_to(from);
        }
    }

    /// The object that a source of variables or of a volume names.
    fn refer_to(&mut self, source: &Value) {
        for (kind, named) in fields(source) {
            match kind.as_str() {
                "configMap" | "configMapRef" | "configMapKeyRef" => {
                    self.refer(CONFIG_MAP, text(named, "name"));
                }
                "secret" | "secretRef" | "secretKeyRef" => {
                    self.refer(SECRET, text(named, "secretName"));
                    self.refer(SECRET, text(named, "name"));
                }
                "persistentVolumeClaim" => self.refer(CLAIM, text(named, "claimName")),
                _ => {
                    for field in ["secretRef", "nodePublishSecretRef"] {
                        if let Some(secret) = named.get(field) {
                            self.refer(SECRET, text(secret, "name"));
                        }
                    }
                }
            }
        }
    }

    fn refer(&mut self, kind: &'static str, name: &str) {
        if !name.is_empty() {
            self.pods.references.insert((kind, name.into()));
        }
    }
}

/// The templates of a `StatefulSet`'s claims: its pods mount claims that are named after them.
pub(super) fn claims(content: &mut Content, spec: &Value) {
    for claim in items_of(spec, "volumeClaimTemplates") {
        let name = claim.pointer("/metadata/name").and_then(Value::as_str);
        if let (Reach::Itself(pods), Some(name)) = (&mut content.reach, name) {
            pods.references.insert((CLAIM_TEMPLATE, name.into()));
        }
        let size = claim.pointer("/spec/resources/requests/storage");
        let told = size.and_then(Value::as_str).unwrap_or_default();
        content.entries.tell_of(
            Aspect::Storage,
            "",
            name.unwrap_or_default(),
            told,
            claim.get("spec").unwrap_or(&Value::Null),
        );
    }
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
mod tests;
