//! From Kubernetes objects to what the topology keeps of them.

use std::net::IpAddr;

use bus_schema::entity::{Container, Pod as PodName, Service as ServiceName, Workload};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::topology::PodRecord;

/// Label by which an `EndpointSlice` names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// A pod; `None` for one without uid, which the API server never sends.
pub fn pod(pod: &Pod) -> Option<PodRecord> {
    let meta = &pod.metadata;
    let (uid, name, namespace) = (meta.uid.clone()?, meta.name.clone()?, namespace(meta));
    let spec = pod.spec.as_ref();
    let shares_node = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let own_kind = || Workload {
        kind: "Pod".into(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    Some(PodRecord {
        created_ns: created_ns(meta),
        owner: controller(meta).unwrap_or_else(own_kind),
        node: spec.and_then(|spec| spec.node_name.clone()),
        addresses: if shares_node { Vec::new() } else { addresses(pod) },
        containers: containers(pod),
        pod: PodName { uid, namespace, name },
    })
}

/// The controller of an object, as a workload of the same namespace.
pub fn controller(meta: &ObjectMeta) -> Option<Workload> {
    let owners = meta.owner_references.as_ref()?;
    let owner: &OwnerReference = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Workload {
        kind: owner.kind.clone(),
        namespace: namespace(meta),
        name: owner.name.clone(),
    })
}

/// A Service and its addresses.
pub fn service(service: &Service) -> Option<(ServiceName, Vec<IpAddr>)> {
    let name = service_name(&service.metadata)?;
    let spec = service.spec.as_ref();
    let cluster = spec.and_then(|spec| spec.cluster_ips.clone()).unwrap_or_default();
    let external = spec
        .and_then(|spec| spec.external_ips.clone())
        .unwrap_or_default();
    let balancer = service
        .status
        .iter()
        .filter_map(|status| status.load_balancer.as_ref()?.ingress.as_ref())
        .flatten();
    let balancer = balancer.filter_map(|ingress| ingress.ip.clone());
    let all = cluster.into_iter().chain(external).chain(balancer);
    // A headless Service says "None", which is no address.
    Some((name, all.filter_map(|text| text.parse().ok()).collect()))
}

/// Namespace and name of a Service.
pub fn service_name(meta: &ObjectMeta) -> Option<ServiceName> {
    Some(ServiceName {
        namespace: namespace(meta),
        name: meta.name.clone()?,
    })
}

/// The Service of a slice, the slice's name, and the uids of the pods in it.
pub fn endpoints(slice: &EndpointSlice) -> Option<(ServiceName, String, Vec<String>)> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?.clone();
    let service = ServiceName {
        namespace: namespace(&slice.metadata),
        name,
    };
    let targets = slice
        .endpoints
        .iter()
        .filter_map(|endpoint| endpoint.target_ref.as_ref());
    let pods = targets
        .filter(|target| target.kind.as_deref() == Some("Pod"))
        .filter_map(|target| target.uid.clone());
    Some((service, slice.metadata.name.clone()?, pods.collect()))
}

/// When an object was created, UNIX ns.
pub fn created_ns(meta: &ObjectMeta) -> u64 {
    let nanoseconds = meta
        .creation_timestamp
        .as_ref()
        .map(|time| time.0.as_nanosecond());
    nanoseconds
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .unwrap_or(0)
}

fn namespace(meta: &ObjectMeta) -> String {
    meta.namespace.clone().unwrap_or_default()
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let addresses = pod
        .status
        .iter()
        .filter_map(|status| status.pod_ips.as_ref())
        .flatten();
    addresses.filter_map(|address| address.ip.parse().ok()).collect()
}

fn containers(pod: &Pod) -> Vec<Container> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let kinds = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let all = kinds.into_iter().flatten().flatten();
    let container = |status: &k8s_openapi::api::core::v1::ContainerStatus| {
        // "containerd://<64 hex digits>"
        let id = status.container_id.as_deref()?.rsplit('/').next()?.to_owned();
        Some(Container {
            id,
            name: status.name.clone(),
            image: status.image.clone(),
        })
    };
    all.filter_map(container).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_pod_keeps_its_owner_addresses_and_containers() {
        let record = pod(&object(
            r#"{"metadata": {"uid": "u", "name": "redis-5f-x", "namespace": "shop", "creationTimestamp": "1970-01-01T00:00:07Z",
                 "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "redis-5f", "uid": "r", "controller": true}]},
                "spec": {"nodeName": "n1", "containers": []},
                "status": {"podIPs": [{"ip": "10.1.0.7"}], "containerStatuses": [{"name": "redis", "image": "redis:7", "imageID": "",
                 "ready": true, "restartCount": 0, "containerID": "containerd://abc"}]}}"#,
        ));
        let record = record.unwrap();
        assert_eq!(record.owner.to_string(), "ReplicaSet/shop/redis-5f");
        assert_eq!(record.addresses, ["10.1.0.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(record.containers[0].id, "abc");
        assert_eq!(record.created_ns, 7_000_000_000);
    }

    #[test]
    fn a_pod_on_the_nodes_network_does_not_claim_the_nodes_address() {
        let record = pod(&object(
            r#"{"metadata": {"uid": "u", "name": "proxy", "namespace": "kube-system"},
                "spec": {"hostNetwork": true, "containers": []}, "status": {"podIPs": [{"ip": "10.99.0.1"}]}}"#,
        ));
        let record = record.unwrap();
        assert_eq!(record.addresses, [] as [IpAddr; 0]);
        assert_eq!(record.owner.to_string(), "Pod/kube-system/proxy");
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let (_, addresses) = service(&object(
            r#"{"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIPs": ["None"]}}"#,
        ))
        .unwrap();
        assert_eq!(addresses, [] as [IpAddr; 0]);
    }

    #[test]
    fn a_slice_names_its_service_and_its_pods() {
        let (service, slice, pods) = endpoints(&object(
            r#"{"addressType": "IPv4", "metadata": {"name": "redis-abc", "namespace": "shop", "labels": {"kubernetes.io/service-name": "redis"}},
                "endpoints": [{"addresses": ["10.1.0.7"], "targetRef": {"kind": "Pod", "uid": "u"}}]}"#,
        ))
        .unwrap();
        assert_eq!(
            (service.name.as_str(), slice.as_str(), pods.as_slice()),
            ("redis", "redis-abc", ["u".to_owned()].as_slice())
        );
    }
}
