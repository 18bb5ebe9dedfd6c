//! Who a span belongs to: one OpenTelemetry resource per affected entity.

use bus_schema::Entity;
use bus_schema::entity::HOST_NAMESPACE;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The resource of an entity, by semantic conventions: `service.*`, `k8s.*`, `container.*`, `host.name`.
pub fn of_entity(entity: &Entity, cluster: &str) -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.name", entity.label()),
        KeyValue::new("service.namespace", entity.namespace().to_owned()),
    ];
    if entity.workload.is_some() && entity.namespace() != HOST_NAMESPACE {
        attributes.push(KeyValue::new("k8s.cluster.name", cluster.to_owned()));
        attributes.push(KeyValue::new("k8s.namespace.name", entity.namespace().to_owned()));
    }
    if let Some(node) = &entity.node {
        attributes.push(KeyValue::new("host.name", node.clone()));
    }
    if let Some(pod) = entity.pod.as_ref().filter(|pod| !pod.name.is_empty()) {
        attributes.push(KeyValue::new("k8s.pod.name", pod.name.clone()));
        attributes.push(KeyValue::new("k8s.pod.uid", pod.uid.clone()));
        attributes.extend(
            entity
                .node
                .clone()
                .map(|node| KeyValue::new("k8s.node.name", node)),
        );
    }
    if let Some(container) = &entity.container {
        attributes.push(KeyValue::new("container.id", container.id.clone()));
        attributes.push(KeyValue::new("k8s.container.name", container.name.clone()));
        attributes.push(KeyValue::new("container.image.name", container.image.clone()));
    }
    attributes.extend(workload_name(entity));
    Resource::builder_empty().with_attributes(attributes).build()
}

fn workload_name(entity: &Entity) -> Option<KeyValue> {
    let workload = entity.workload.as_ref()?;
    let key = match workload.kind.as_str() {
        "Deployment" => "k8s.deployment.name",
        "StatefulSet" => "k8s.statefulset.name",
        "DaemonSet" => "k8s.daemonset.name",
        "ReplicaSet" => "k8s.replicaset.name",
        "Job" => "k8s.job.name",
        "CronJob" => "k8s.cronjob.name",
        _ => return None,
    };
    Some(KeyValue::new(key, workload.name.clone()))
}
