//! Who an event speaks of. Observers fill what the node knows; the enricher fills the rest and says who it is.

mod identity;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use identity::Identity;

/// One thing of the cluster: its identity, and whatever else is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entity {
    /// Who it is. Observers of the API server set it for what is no workload; the enricher for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The process, where one acted or suffered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Its control group in the memory hierarchy (v1) or the unified one (v2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    /// Its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// What keeps it running: a Deployment, a systemd unit, a container of its own, a control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The Service through which it was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The workloads that share that Service, in order and at most [`MOST_BACKENDS`]; empty where `workload` names the only
    /// one, or where none is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Workload>,
    /// The node's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// A transport address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// A block device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// A process; the start time tells it from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Number in the host's pid namespace.
    pub pid: u32,
    /// When it started, UNIX time in ns; 0 when unknown.
    pub start_ns: u64,
    /// Name of at most 15 bytes, as the kernel keeps it.
    pub comm: String,
    /// Path of its executable, where known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exe: String,
}

/// A control group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Kernel id: the inode number of its directory.
    pub id: u64,
    /// Path below the mount point of its hierarchy, with a leading slash; empty when the id could not be resolved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// The runtime's id, 64 hexadecimal digits.
    pub id: String,
    /// Its name in the pod; filled by the enricher.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its image reference; filled by the enricher.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
}

/// A pod. A node knows only the uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Kubernetes uid with dashes.
    pub uid: String,
    /// Namespace; empty until enriched.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name; empty until enriched.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What keeps processes running under one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `CronJob`, `ReplicaSet`, `Pod`, `Unit` (systemd), `Container`, `Cgroup`
    /// or `Program`.
    pub kind: String,
    /// Kubernetes namespace; [`HOST_NAMESPACE`] outside Kubernetes.
    pub namespace: String,
    /// Name within kind and namespace.
    pub name: String,
}

/// Most workloads of one Service that are named: more share one in no cluster for long.
pub const MOST_BACKENDS: usize = 8;

/// Kind of a systemd service.
pub const UNIT_KIND: &str = "Unit";

/// Kind of a container or a machine in a container that no pod owns.
pub const CONTAINER_KIND: &str = "Container";

/// Kind of a workload that is known by its control group alone.
pub const CGROUP_KIND: &str = "Cgroup";

/// Kind of a workload outside Kubernetes whose control group has no lasting name: it is called by its program.
pub const PROGRAM_KIND: &str = "Program";

/// Kind of what stands for all addresses that nobody knows.
pub const ADDRESSES_KIND: &str = "Addresses";

/// Kind of a pod.
pub const POD_KIND: &str = "Pod";

/// Kind of a Service.
pub const SERVICE_KIND: &str = "Service";

/// Kind of a node.
pub const NODE_KIND: &str = "Node";

/// Kind of an address that nobody of the cluster has.
pub const EXTERNAL_KIND: &str = "External";

/// Namespace token of workloads that Kubernetes does not know.
pub const HOST_NAMESPACE: &str = "host";

/// A Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A transport address as seen from one network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Internet address; IPv4-mapped IPv6 is given as IPv4.
    pub ip: IpAddr,
    /// Port; 0 when it does not matter, as for the peer of a server.
    #[serde(default)]
    pub port: u16,
    /// Inode number of the network namespace; 0 when unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub net_ns: u32,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Name below `/dev`.
    pub name: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references to skip_serializing_if"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Entity {
    /// The node itself.
    pub fn of_node(name: &str) -> Self {
        Self {
            node: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// A workload, with nothing else known.
    pub fn of_workload(workload: Workload) -> Self {
        Self {
            workload: Some(workload),
            ..Self::default()
        }
    }

    /// An address, with nothing else known.
    pub fn of_address(address: Address) -> Self {
        Self {
            address: Some(address),
            ..Self::default()
        }
    }

    /// An object of the API that is known by its identity alone: a `ConfigMap`, a Service, a quota.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            identity: Some(Identity::new(kind, namespace, name)),
            ..Self::default()
        }
    }

    /// Something of which nothing but its identity is known.
    pub fn of_identity(identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            ..Self::default()
        }
    }

    /// Who it is: as it was told, else by the widest name that is known. The same over restarts where a workload is known.
    pub fn identity(&self) -> Identity {
        self.identity.clone().unwrap_or_else(|| Identity::of(self))
    }

    /// Its identity as one text, the name under which it is correlated.
    pub fn key(&self) -> String {
        self.identity
            .as_ref()
            .map_or_else(|| identity::key_of(self), Identity::key)
    }

    /// The short name for a sentence: `cache`, `10.0.0.7:6379`, `node-3`.
    pub fn label(&self) -> String {
        if let Some(workload) = &self.workload {
            return workload.name.clone();
        }
        if let Some(object) = self.identity.as_ref().filter(|identity| identity.is_api_object()) {
            return object.name.clone();
        }
        if let Some(service) = &self.service {
            return service.name.clone();
        }
        if let Some(pod) = self.pod.as_ref().filter(|pod| !pod.name.is_empty()) {
            return pod.name.clone();
        }
        if let Some(address) = &self.address {
            // Without a port it is a host.
            return if address.port == 0 {
                address.ip.to_string()
            } else {
                address.to_string()
            };
        }
        if let Some(process) = &self.process {
            return format!("{} (pid {})", process.comm, process.pid);
        }
        self.node.clone().unwrap_or_else(|| "unknown".to_owned())
    }

    /// Kubernetes namespace, or [`HOST_NAMESPACE`].
    pub fn namespace(&self) -> &str {
        let workload = self.workload.as_ref().map(|workload| workload.namespace.as_str());
        let pod = self.pod.as_ref().map(|pod| pod.namespace.as_str());
        let service = self.service.as_ref().map(|service| service.namespace.as_str());
        let object = self.identity.as_ref().filter(|identity| identity.is_api_object());
        [
            workload,
            pod,
            service,
            object.map(|object| object.namespace.as_str()),
        ]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or(HOST_NAMESPACE)
    }
}

impl fmt::Display for Address {
    /// With brackets around IPv6, as in a URL: `10.0.0.7:6379`, `[::1]:6379`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}
