//! What the API server tells: pods, their owners, addresses and services, versioned in time.
//!
//! An address means what it meant then: each carries who held it from when to when, and the dead are remembered.

mod addresses;
mod services;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use addresses::Addresses;
use bus_schema::entity::{Container, Pod, Service, Workload};
use services::Services;

/// The dead are remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;

/// A pod as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// Uid, namespace, name.
    pub pod: Pod,
    /// Its controller; the pod itself where nobody owns it.
    pub owner: Workload,
    /// When it was created, UNIX ns.
    pub created_ns: u64,
    /// Node it is bound to.
    pub node: Option<String>,
    /// Its own addresses; none when it shares the node's, or when it has ended.
    pub addresses: Vec<IpAddr>,
    /// Whether it is on the network of its node.
    pub shares_node: bool,
    /// Its containers by runtime id.
    pub containers: Vec<Container>,
}

/// A Service as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Namespace and name.
    pub name: Service,
    /// When it was created, UNIX ns.
    pub created_ns: u64,
    /// Its own addresses; none when it is headless.
    pub addresses: Vec<IpAddr>,
    /// Ports of every node at which it is reached.
    pub node_ports: Vec<u16>,
}

/// A node as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// When it was created, UNIX ns.
    pub created_ns: u64,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Who held an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A pod, by uid.
    Pod(String),
    /// A Service.
    Service(Service),
    /// A node, by name.
    Node(String),
}

/// The cluster as seen so far.
#[derive(Debug, Default)]
pub struct Topology {
    pods: HashMap<String, (PodRecord, Option<u64>)>,
    containers: HashMap<String, String>,
    owners: HashMap<Workload, Workload>,
    /// Children among them that were deleted.
    lost_owners: HashSet<Workload>,
    services: Services,
    addresses: Addresses,
}

impl Topology {
    /// A pod appeared or changed, as told at `time_ns`. An address that it no longer has is free from then on.
    pub fn see_pod(&mut self, record: PodRecord, time_ns: u64) {
        let uid = record.pod.uid.clone();
        self.addresses.become_those_of(
            &Holder::Pod(uid.clone()),
            &record.addresses,
            record.created_ns,
            time_ns,
        );
        for container in &record.containers {
            self.containers.insert(container.id.clone(), uid.clone());
        }
        self.pods.insert(uid, (record, None));
    }

    /// A pod was deleted at `time_ns`.
    pub fn lose_pod(&mut self, uid: &str, time_ns: u64) {
        if let Some((_, gone_ns)) = self.pods.get_mut(uid) {
            *gone_ns = Some(time_ns);
            self.addresses.release(&Holder::Pod(uid.to_owned()), time_ns);
        }
    }

    /// A node appeared or changed, as told at `time_ns`.
    pub fn see_node(&mut self, record: &NodeRecord, time_ns: u64) {
        let holder = Holder::Node(record.name.clone());
        self.addresses
            .become_those_of(&holder, &record.addresses, record.created_ns, time_ns);
    }

    /// A node was deleted at `time_ns`.
    pub fn lose_node(&mut self, name: &str, time_ns: u64) {
        self.addresses.release(&Holder::Node(name.to_owned()), time_ns);
    }

    /// `child` (a `ReplicaSet`, a Job) is controlled by `parent`.
    pub fn see_owner(&mut self, child: Workload, parent: Workload) {
        self.lost_owners.remove(&child);
        self.owners.insert(child, parent);
    }

    /// A controller was deleted. Its pods keep the answer while they are remembered themselves.
    pub fn lose_owner(&mut self, child: &Workload) {
        if self.owners.contains_key(child) {
            self.lost_owners.insert(child.clone());
        }
    }

    /// A Service appeared or changed, as told at `time_ns`.
    pub fn see_service(&mut self, record: &ServiceRecord, time_ns: u64) {
        let holder = Holder::Service(record.name.clone());
        self.addresses
            .become_those_of(&holder, &record.addresses, record.created_ns, time_ns);
        self.services.see(&record.name, &record.node_ports);
    }

    /// The pods behind a slice of the Service's endpoints, as told at `time_ns`.
    pub fn see_endpoints(&mut self, service: &Service, slice: &str, pods: &[String], time_ns: u64) {
        self.services.see_endpoints(service, slice, pods, time_ns);
    }

    /// A slice was deleted at `time_ns`.
    pub fn lose_endpoints(&mut self, namespace: &str, slice: &str, time_ns: u64) {
        self.services.lose_endpoints(namespace, slice, time_ns);
    }

    /// A Service was deleted at `time_ns`.
    pub fn lose_service(&mut self, service: &Service, time_ns: u64) {
        self.services.lose(service, time_ns);
        self.addresses.release(&Holder::Service(service.clone()), time_ns);
    }

    /// The top of a pod's owner chain.
    pub fn workload_of(&self, record: &PodRecord) -> Workload {
        self.top_of(&record.owner)
    }

    /// The top of the chain of owners above a controller.
    pub fn top_of(&self, owner: &Workload) -> Workload {
        /// Pod, `ReplicaSet`, Deployment, and whatever an operator puts above.
        const LONGEST_CHAIN: usize = 6;
        let mut top = owner;
        for _ in 0..LONGEST_CHAIN {
            match self.owners.get(top) {
                Some(parent) => top = parent,
                None => break,
            }
        }
        top.clone()
    }

    /// The workloads behind a Service at `time_ns`, else those that were last; in order, each once. None where it never had
    /// any.
    pub fn workloads_behind(&self, service: &Service, time_ns: u64) -> Vec<Workload> {
        let pods = self.services.pods_behind(service, time_ns);
        let mut workloads: Vec<_> = pods
            .into_iter()
            .filter_map(|uid| self.pod(uid))
            .map(|record| self.workload_of(record))
            .collect();
        workloads.sort();
        workloads.dedup();
        workloads
    }

    /// The Service that is reached at this port of every node.
    pub fn service_at(&self, node_port: u16) -> Option<&Service> {
        self.services.at(node_port)
    }

    /// The pod with that uid.
    pub fn pod(&self, uid: &str) -> Option<&PodRecord> {
        self.pods.get(uid).map(|(record, _)| record)
    }

    /// The pod in which that container runs or ran.
    pub fn pod_of_container(&self, id: &str) -> Option<&PodRecord> {
        self.pod(self.containers.get(id)?)
    }

    /// Who held `address` at `time_ns`, else who did last before.
    pub fn holder(&self, address: IpAddr, time_ns: u64) -> Option<&Holder> {
        self.addresses.holder(address, time_ns)
    }

    /// Forgets the dead that nobody asks about any more.
    pub fn forget(&mut self, now_ns: u64) {
        self.pods
            .retain(|_, (_, gone_ns)| is_remembered(*gone_ns, now_ns));
        self.services.forget(now_ns);
        let needed: HashSet<&Workload> = self.pods.values().map(|(record, _)| &record.owner).collect();
        let owners = &mut self.owners;
        self.lost_owners.retain(|child| {
            let is_needed = needed.contains(child);
            if !is_needed {
                owners.remove(child);
            }
            is_needed
        });
        let pods = &self.pods;
        self.containers.retain(|_, uid| pods.contains_key(uid));
        self.addresses.forget(now_ns);
    }
}

/// Whether what ended then, if it has, is still asked about.
fn is_remembered(gone_ns: Option<u64>, now_ns: u64) -> bool {
    gone_ns.is_none_or(|gone_ns| now_ns < gone_ns + REMEMBER_NS)
}

#[cfg(test)]
mod tests;
