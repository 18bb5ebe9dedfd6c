//! From Kubernetes objects to what relations are derived from.

use std::collections::BTreeSet;

use bus_schema::entity::{Identity, NODE_KIND, SERVICE_KIND};
use k8s_openapi::Resource;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    ConfigMap, EnvFromSource, EnvVar, PersistentVolumeClaim, Pod, PodSpec, Secret, Service, Volume,
};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, NetworkPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};

use crate::relations::{PodRecord, Requirement, Selector, Shape};
use crate::topology;

/// The identity of an object of that kind.
pub fn identity<K: Resource>(meta: &ObjectMeta) -> Identity {
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    Identity::new(K::KIND, namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// What relations keep of a pod that the topology knows as `record`.
pub fn pod(pod: &Pod, record: &topology::PodRecord, has_ended: bool) -> PodRecord {
    let spec = pod.spec.as_ref();
    let names = Names {
        namespace: &record.pod.namespace,
    };
    let shape = Shape {
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        mounts: spec.map(|spec| names.mounts(spec)).unwrap_or_default(),
        refers_to: spec.map(|spec| names.refers_to(spec)).unwrap_or_default(),
    };
    PodRecord {
        uid: record.pod.uid.clone(),
        owner: record.owner.clone(),
        shape,
        node: record
            .node
            .as_ref()
            .map(|name| Identity::new(NODE_KIND, "", name)),
        created_ns: record.created_ns,
        has_ended,
    }
}

/// What a Service selects; `None` for one that selects nothing.
pub fn service(service: &Service) -> Option<Selector> {
    let labels = service.spec.as_ref()?.selector.as_ref()?;
    (!labels.is_empty()).then(|| Selector::equal(labels))
}

/// What a network policy selects; without a selector, all pods of its namespace.
pub fn network_policy(policy: &NetworkPolicy) -> Selector {
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
    selector.map(label_selector).unwrap_or_default()
}

/// The Services to which an Ingress routes.
pub fn ingress(ingress: &Ingress) -> BTreeSet<Identity> {
    let spec = ingress.spec.as_ref();
    let namespace = ingress.metadata.namespace.as_deref().unwrap_or_default();
    let rules = spec.and_then(|spec| spec.rules.as_ref()).into_iter().flatten();
    let paths = rules
        .filter_map(|rule| rule.http.as_ref())
        .flat_map(|http| &http.paths);
    let default = spec.and_then(|spec| spec.default_backend.as_ref());
    let backends = paths.map(|path| &path.backend).chain(default);
    let service = |backend: &IngressBackend| {
        let service = backend.service.as_ref()?;
        Some(Identity::new(SERVICE_KIND, namespace, &service.name))
    };
    backends.filter_map(service).collect()
}

/// The workload that an autoscaler scales.
pub fn autoscaler(autoscaler: &HorizontalPodAutoscaler) -> BTreeSet<Identity> {
    let namespace = autoscaler.metadata.namespace.as_deref().unwrap_or_default();
    let targets = autoscaler.spec.iter().map(|spec| &spec.scale_target_ref);
    targets
        .map(|target| Identity::new(&target.kind, namespace, &target.name))
        .collect()
}

fn label_selector(selector: &LabelSelector) -> Selector {
    let Selector(mut all) = Selector::equal(&selector.match_labels.clone().unwrap_or_default());
    let expressions = selector.match_expressions.iter().flatten();
    all.extend(expressions.map(requirement));
    Selector(all)
}

fn requirement(expression: &LabelSelectorRequirement) -> Requirement {
    let values = || expression.values.iter().flatten().cloned().collect();
    let label = expression.key.clone();
    match expression.operator.as_str() {
        "NotIn" => Requirement::NotIn(label, values()),
        "Exists" => Requirement::Exists(label),
        "DoesNotExist" => Requirement::Absent(label),
        // "In"; of an operator that nobody knows yet, no value is selected.
        _ => Requirement::In(label, values()),
    }
}

/// What a pod names is of its own namespace.
struct Names<'a> {
    namespace: &'a str,
}

impl Names<'_> {
    fn of<K: Resource>(&self, name: &str) -> Option<Identity> {
        (!name.is_empty()).then(|| Identity::new(K::KIND, self.namespace, name))
    }

    fn mounts(&self, spec: &PodSpec) -> BTreeSet<Identity> {
        let volumes = spec.volumes.iter().flatten();
        volumes.flat_map(|volume| self.volume(volume)).collect()
    }

    fn volume(&self, volume: &Volume) -> Vec<Identity> {
        let config = volume.config_map.iter();
        let secret = volume
            .secret
            .iter()
            .filter_map(|source| source.secret_name.as_ref());
        let claim = volume.persistent_volume_claim.iter();
        let parts = volume
            .projected
            .iter()
            .filter_map(|source| source.sources.as_ref())
            .flatten();
        let projected = parts.flat_map(|part| {
            let config = part
                .config_map
                .iter()
                .filter_map(|config| self.of::<ConfigMap>(&config.name));
            let secret = part
                .secret
                .iter()
                .filter_map(|secret| self.of::<Secret>(&secret.name));
            config.chain(secret)
        });
        config
            .filter_map(|source| self.of::<ConfigMap>(&source.name))
            .chain(secret.filter_map(|name| self.of::<Secret>(name)))
            .chain(claim.filter_map(|claim| self.of::<PersistentVolumeClaim>(&claim.claim_name)))
            .chain(projected)
            .collect()
    }

    fn refers_to(&self, spec: &PodSpec) -> BTreeSet<Identity> {
        let containers = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let containers = containers.map(|container| (&container.env, &container.env_from));
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        let ephemeral = ephemeral.map(|container| (&container.env, &container.env_from));
        let mut all = BTreeSet::new();
        for (variables, sources) in containers.chain(ephemeral) {
            all.extend(
                variables
                    .iter()
                    .flatten()
                    .filter_map(|variable| self.variable(variable)),
            );
            all.extend(sources.iter().flatten().flat_map(|source| self.source(source)));
        }
        let pulling = spec.image_pull_secrets.iter().flatten();
        all.extend(pulling.filter_map(|secret| self.of::<Secret>(&secret.name)));
        all
    }

    fn variable(&self, variable: &EnvVar) -> Option<Identity> {
        let source = variable.value_from.as_ref()?;
        let config = source.config_map_key_ref.as_ref();
        let config = config.and_then(|config| self.of::<ConfigMap>(&config.name));
        let secret = || {
            let secret = source.secret_key_ref.as_ref()?;
            self.of::<Secret>(&secret.name)
        };
        config.or_else(secret)
    }

    fn source(&self, source: &EnvFromSource) -> Vec<Identity> {
        let config = source.config_map_ref.iter();
        let secret = source.secret_ref.iter();
        config
            .filter_map(|config| self.of::<ConfigMap>(&config.name))
            .chain(secret.filter_map(|secret| self.of::<Secret>(&secret.name)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
