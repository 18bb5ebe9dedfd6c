//! Who something is: the key of every stage after the enricher.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    CGROUP_KIND, CONTAINER_KIND, EXTERNAL_KIND, Entity, HOST_NAMESPACE, NODE_KIND, POD_KIND, PROGRAM_KIND,
    SERVICE_KIND, UNIT_KIND,
};

/// Kind, namespace and name; and the node, for what lives on one and may have a namesake on another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// A kind of the Kubernetes API, or `Unit`, `Container`, `Cgroup`, `Program`, `Addresses`, `External`.
    pub kind: String,
    /// Namespace; empty for what has none, [`HOST_NAMESPACE`] outside Kubernetes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name within kind and namespace.
    pub name: String,
    /// Node of what is known by this name only there; empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// Kinds that are no objects of the API.
const OUTSIDE_API: [&str; 6] = [
    UNIT_KIND,
    CONTAINER_KIND,
    CGROUP_KIND,
    PROGRAM_KIND,
    super::ADDRESSES_KIND,
    EXTERNAL_KIND,
];

impl Identity {
    /// Of something that is not bound to a node.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: String::new(),
        }
    }

    /// The widest that the attributes of `entity` tell.
    pub fn of(entity: &Entity) -> Self {
        let (kind, namespace, name, node) = parts(entity);
        Self {
            node: node.to_owned(),
            ..Self::new(kind, namespace, &name)
        }
    }

    /// As one text: `Deployment/shop/redis`, `Node//n1`, `Unit/host/kubelet@n1`.
    pub fn key(&self) -> String {
        let Self {
            kind,
            namespace,
            name,
            node,
        } = self;
        text(kind, namespace, name, node)
    }

    /// Whether it is an object of the Kubernetes API.
    pub fn is_api_object(&self) -> bool {
        !OUTSIDE_API.contains(&self.kind.as_str())
    }
}

/// The key of what the attributes of `entity` tell, without the identity in between: every event asks for two.
pub(super) fn key_of(entity: &Entity) -> String {
    let (kind, namespace, name, node) = parts(entity);
    text(kind, namespace, &name, node)
}

/// Kind, namespace, name and node of the widest that is known.
fn parts(entity: &Entity) -> (&str, &str, Cow<'_, str>, &str) {
    let node = entity.node.as_deref().unwrap_or_default();
    if let Some(workload) = &entity.workload {
        let (kind, namespace, name) = (&*workload.kind, &*workload.namespace, &*workload.name);
        // Groups of one name below different parents are different services; the path tells them apart.
        let path = entity.cgroup.as_ref().map(|cgroup| cgroup.path.as_str());
        let name = path.filter(|_| kind == CGROUP_KIND).unwrap_or(name);
        let is_of_node = [UNIT_KIND, CONTAINER_KIND, CGROUP_KIND, PROGRAM_KIND].contains(&kind);
        return (kind, namespace, name.into(), if is_of_node { node } else { "" });
    }
    if let Some(service) = &entity.service {
        return (SERVICE_KIND, &service.namespace, service.name.as_str().into(), "");
    }
    if let Some(pod) = &entity.pod {
        let name = if pod.name.is_empty() { &pod.uid } else { &pod.name };
        return (POD_KIND, &pod.namespace, name.into(), "");
    }
    if let (Some(cgroup), false) = (&entity.cgroup, node.is_empty()) {
        let name = if cgroup.path.is_empty() {
            cgroup.id.to_string().into()
        } else {
            cgroup.path.as_str().into()
        };
        return (CGROUP_KIND, HOST_NAMESPACE, name, node);
    }
    if let Some(address) = &entity.address {
        return (EXTERNAL_KIND, "", address.to_string().into(), "");
    }
    (NODE_KIND, "", node.into(), "")
}

fn text(kind: &str, namespace: &str, name: &str, node: &str) -> String {
    if node.is_empty() {
        [kind, "/", namespace, "/", name].concat()
    } else {
        [kind, "/", namespace, "/", name, "@", node].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Address, Cgroup, Pod, Workload};
    use super::*;

    fn at(kind: &str, path: &str, node: &str) -> Entity {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let (kind, namespace) = (kind.to_owned(), HOST_NAMESPACE.to_owned());
        let workload = Workload {
            kind,
            namespace,
            name,
        };
        let cgroup = Cgroup {
            id: 1,
            path: path.to_owned(),
        };
        Entity {
            cgroup: Some(cgroup),
            node: Some(node.to_owned()),
            ..Entity::of_workload(workload)
        }
    }

    #[test]
    fn groups_of_one_name_are_different_services_and_a_restarted_unit_is_the_same() {
        let (one, other) = (
            at(CGROUP_KIND, "/shop-1/cache", "n"),
            at(CGROUP_KIND, "/shop-2/cache", "n"),
        );
        assert_ne!(one.key(), other.key());
        assert_eq!(one.label(), other.label());
        assert_eq!(
            at("Deployment", "/pod-1/c", "n").key(),
            at("Deployment", "/pod-2/c", "m").key()
        );
    }

    #[test]
    fn namesakes_on_two_nodes_are_two_units_and_one_deployment() {
        let key = |kind, node| at(kind, "/system.slice/redis", node).key();
        assert_eq!(key(UNIT_KIND, "n"), "Unit/host/redis@n");
        assert_ne!(key(UNIT_KIND, "n"), key(UNIT_KIND, "m"));
        assert_eq!(key("Deployment", "n"), key("Deployment", "m"));
    }

    #[test]
    fn an_address_of_ipv6_is_told_from_its_port() {
        let told = |ip: &str| {
            let (ip, port, net_ns) = (ip.parse().unwrap(), 6379, 7);
            let entity = Entity::of_address(Address { ip, port, net_ns });
            (entity.key(), entity.label())
        };
        let both = |text: &str| (format!("External//{text}"), text.to_owned());
        assert_eq!(told("::1"), both("[::1]:6379"));
        assert_eq!(told("10.0.0.7"), both("10.0.0.7:6379"));
    }

    #[test]
    fn what_was_told_counts_and_the_rest_is_known_by_its_widest_name() {
        let pod = Pod {
            uid: "u".into(),
            namespace: "shop".into(),
            name: "redis-x".into(),
        };
        let mut entity = Entity {
            pod: Some(pod),
            ..Entity::of_node("n")
        };
        assert_eq!(entity.key(), "Pod/shop/redis-x");
        entity.identity = Some(Identity::new("Deployment", "shop", "redis"));
        assert_eq!(entity.key(), "Deployment/shop/redis");
        assert_eq!(Entity::of_node("n").key(), "Node//n");
        let object = Entity::of_object("ConfigMap", "shop", "settings");
        assert_eq!((object.label(), object.namespace()), ("settings".into(), "shop"));
    }
}
