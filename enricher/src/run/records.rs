//! From Kubernetes objects to what the topology keeps of them.

use std::net::IpAddr;

use bus_schema::entity::{Container, Pod as PodName, Service as ServiceName, Workload};
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::topology::{NodeRecord, PodRecord, ServiceRecord};

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
        addresses: if shares_node || has_ended(pod) {
            Vec::new()
        } else {
            addresses(pod)
        },
        shares_node,
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

/// Whether nothing runs in a pod any more, nor will: it still says which addresses it had, and others may have them.
pub fn has_ended(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let is_terminated = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.terminated.is_some())
    };
    let is_deleted = pod.metadata.deletion_timestamp.is_some();
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
        || is_deleted && !containers.is_empty() && containers.iter().all(is_terminated)
}

/// A node; `None` for one without a name, which the API server never sends.
pub fn node(node: &Node) -> Option<NodeRecord> {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_ref());
    // Host names are no addresses.
    let addresses = addresses.into_iter().flatten();
    Some(NodeRecord {
        name: node.metadata.name.clone()?,
        created_ns: created_ns(&node.metadata),
        addresses: addresses
            .filter_map(|address| address.address.parse().ok())
            .collect(),
    })
}

/// A Service; `None` for one without a name, which the API server never sends.
pub fn service(service: &Service) -> Option<ServiceRecord> {
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
    Some(ServiceRecord {
        name,
        created_ns: created_ns(&service.metadata),
        // A headless Service says "None", which is no address.
        addresses: all.filter_map(|text| text.parse().ok()).collect(),
        node_ports: node_ports(service),
    })
}

/// Ports of other protocols are other ports.
fn node_ports(service: &Service) -> Vec<u16> {
    let ports = service.spec.iter().filter_map(|spec| spec.ports.as_ref());
    let tcp = ports
        .flatten()
        .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    tcp.filter_map(|port| u16::try_from(port.node_port?).ok())
        .collect()
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
    let container = |status: &ContainerStatus| {
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
        let record = service(&object(
            r#"{"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIPs": ["None"]}}"#,
        ));
        assert_eq!(record.unwrap().addresses, [] as [IpAddr; 0]);
    }

    #[test]
    fn a_service_has_the_ports_of_nodes_that_lead_to_it() {
        let record = service(&object(
            r#"{"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "NodePort", "clusterIPs": ["10.96.0.5"], "ports": [
                 {"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}, {"port": 81}]}}"#,
        ));
        assert_eq!(record.unwrap().node_ports, [30_080]);
    }

    #[test]
    fn a_node_has_its_addresses_and_not_its_host_name() {
        let record = node(&object(
            r#"{"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"},
                 {"type": "Hostname", "address": "n1"}]}}"#,
        ));
        let record = record.unwrap();
        assert_eq!((record.name.as_str(), record.addresses.len()), ("n1", 1));
    }

    #[test]
    fn a_pod_that_has_ended_has_no_address_whatever_its_status_says() {
        let record = |meta: &str, status: &str| {
            let text = format!(
                r#"{{"metadata": {{"uid": "u", "name": "job", "namespace": "shop"{meta}}}, "spec": {{"containers": []}},
                     "status": {{"podIPs": [{{"ip": "10.1.0.7"}}]{status}}}}}"#
            );
            pod(&object(&text)).unwrap().addresses.len()
        };
        let container = |state: &str| {
            format!(
                r#", "containerStatuses": [{{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                     "state": {{{state}}}}}]"#
            )
        };
        let ended = container(r#""terminated": {"exitCode": 0}"#);
        let running = container(r#""running": {}"#);
        let deleted = r#", "deletionTimestamp": "1970-01-01T00:00:07Z""#;
        assert_eq!(record("", r#", "phase": "Succeeded""#), 0);
        assert_eq!(record("", r#", "phase": "Failed""#), 0);
        assert_eq!(record(deleted, &ended), 0);
        assert_eq!(record("", r#", "phase": "Running""#), 1);
        assert_eq!(record("", &ended), 1, "it starts again");
        assert_eq!(record(deleted, &running), 1, "it still shuts down");
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
