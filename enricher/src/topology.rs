//! What the API server tells: pods, their owners, addresses and services, versioned in time.
//!
//! An address means what it meant then: each carries who held it from when to when, and the dead are remembered.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use bus_schema::entity::{Container, Pod, Service, Workload};

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
    /// Its own addresses; none when it shares the node's.
    pub addresses: Vec<IpAddr>,
    /// Its containers by runtime id.
    pub containers: Vec<Container>,
}

/// A Service as the API server shows it.
#[derive(Debug, Default)]
struct ServiceRecord {
    addresses: Vec<IpAddr>,
    /// Uids of the pods behind it, by slice; the last ones that were there when a slice ran empty.
    backends: HashMap<String, Vec<String>>,
    gone_ns: Option<u64>,
}

/// Who held an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A pod, by uid.
    Pod(String),
    /// A Service.
    Service(Service),
}

#[derive(Debug)]
struct Tenure {
    holder: Holder,
    since_ns: u64,
    until_ns: Option<u64>,
}

/// The cluster as seen so far.
#[derive(Debug, Default)]
pub struct Topology {
    pods: HashMap<String, (PodRecord, Option<u64>)>,
    containers: HashMap<String, String>,
    owners: HashMap<Workload, Workload>,
    /// Children among them that were deleted.
    lost_owners: HashSet<Workload>,
    services: HashMap<Service, ServiceRecord>,
    addresses: HashMap<IpAddr, Vec<Tenure>>,
}

impl Topology {
    /// A pod appeared or changed, as told at `time_ns`.
    pub fn see_pod(&mut self, record: PodRecord, time_ns: u64) {
        let uid = record.pod.uid.clone();
        for address in &record.addresses {
            self.hold(*address, Holder::Pod(uid.clone()), record.created_ns, time_ns);
        }
        for container in &record.containers {
            self.containers.insert(container.id.clone(), uid.clone());
        }
        self.pods.insert(uid, (record, None));
    }

    /// A pod was deleted at `time_ns`.
    pub fn lose_pod(&mut self, uid: &str, time_ns: u64) {
        if let Some((record, gone_ns)) = self.pods.get_mut(uid) {
            *gone_ns = Some(time_ns);
            let addresses = record.addresses.clone();
            for address in addresses {
                self.release(address, &Holder::Pod(uid.to_owned()), time_ns);
            }
        }
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

    /// A Service that was created at `created_ns` appeared or changed, as told at `time_ns`; a headless one has no addresses.
    pub fn see_service(&mut self, service: &Service, addresses: Vec<IpAddr>, created_ns: u64, time_ns: u64) {
        for address in &addresses {
            self.hold(*address, Holder::Service(service.clone()), created_ns, time_ns);
        }
        let record = self.services.entry(service.clone()).or_default();
        record.addresses = addresses;
        record.gone_ns = None;
    }

    /// The pods behind a slice of the Service's endpoints. An empty slice keeps those it had: a Service whose pods have
    /// died is still theirs.
    pub fn see_endpoints(&mut self, service: &Service, slice: &str, pods: Vec<String>) {
        let backends = &mut self.services.entry(service.clone()).or_default().backends;
        if !pods.is_empty() {
            backends.insert(slice.to_owned(), pods);
        }
    }

    /// A slice was deleted. The last one of a Service keeps its pods: it may be empty for good, and is still theirs.
    pub fn lose_endpoints(&mut self, namespace: &str, slice: &str) {
        let here = self
            .services
            .iter_mut()
            .filter(|(service, _)| service.namespace == namespace);
        for (_, record) in here.filter(|(_, record)| record.backends.len() > 1) {
            record.backends.remove(slice);
        }
    }

    /// A Service was deleted at `time_ns`.
    pub fn lose_service(&mut self, service: &Service, time_ns: u64) {
        if let Some(record) = self.services.get_mut(service) {
            record.gone_ns = Some(time_ns);
            let addresses = record.addresses.clone();
            for address in addresses {
                self.release(address, &Holder::Service(service.clone()), time_ns);
            }
        }
    }

    /// The top of a pod's owner chain.
    pub fn workload_of(&self, record: &PodRecord) -> Workload {
        /// Pod, `ReplicaSet`, Deployment, and whatever an operator puts above.
        const LONGEST_CHAIN: usize = 6;
        let mut top = &record.owner;
        for _ in 0..LONGEST_CHAIN {
            match self.owners.get(top) {
                Some(parent) => top = parent,
                None => break,
            }
        }
        top.clone()
    }

    /// The one workload behind a Service; `None` with several, or with none ever.
    pub fn workload_behind(&self, service: &Service) -> Option<Workload> {
        let backends = self.services.get(service)?.backends.values().flatten();
        let mut workloads: Vec<_> = backends
            .filter_map(|uid| self.pod(uid))
            .map(|record| self.workload_of(record))
            .collect();
        workloads.sort();
        workloads.dedup();
        let [only] = workloads.as_slice() else { return None };
        Some(only.clone())
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
        let held = self
            .addresses
            .get(&address)?
            .iter()
            .filter(|tenure| tenure.since_ns <= time_ns);
        held.max_by_key(|tenure| (tenure.until_ns.unwrap_or(u64::MAX).min(time_ns), tenure.since_ns))
            .map(|tenure| &tenure.holder)
    }

    /// Forgets the dead that nobody asks about any more.
    pub fn forget(&mut self, now_ns: u64) {
        let is_remembered =
            |gone_ns: &Option<u64>| gone_ns.is_none_or(|gone_ns| now_ns < gone_ns + REMEMBER_NS);
        self.pods.retain(|_, (_, gone_ns)| is_remembered(gone_ns));
        self.services.retain(|_, record| is_remembered(&record.gone_ns));
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
        self.addresses.retain(|_, tenures| {
            tenures.retain(|tenure| is_remembered(&tenure.until_ns));
            !tenures.is_empty()
        });
    }

    /// The API server tells an address some time after it was given: whatever nobody else is known to have held since the
    /// holder was created is the holder's.
    fn hold(&mut self, address: IpAddr, holder: Holder, created_ns: u64, time_ns: u64) {
        let tenures = self.addresses.entry(address).or_default();
        if tenures
            .iter()
            .any(|tenure| tenure.holder == holder && tenure.until_ns.is_none())
        {
            return;
        }
        for tenure in tenures.iter_mut().filter(|tenure| tenure.until_ns.is_none()) {
            tenure.until_ns = Some(time_ns);
        }
        let free_ns = tenures.iter().filter_map(|tenure| tenure.until_ns).max();
        tenures.push(Tenure {
            holder,
            since_ns: created_ns.max(free_ns.unwrap_or(0)),
            until_ns: None,
        });
    }

    fn release(&mut self, address: IpAddr, holder: &Holder, time_ns: u64) {
        let tenures = self.addresses.get_mut(&address).into_iter().flatten();
        for tenure in tenures.filter(|tenure| tenure.holder == *holder && tenure.until_ns.is_none()) {
            tenure.until_ns = Some(time_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: &str, name: &str) -> Workload {
        Workload {
            kind: kind.into(),
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    fn pod(uid: &str, address: &str) -> PodRecord {
        PodRecord {
            pod: Pod {
                uid: uid.into(),
                namespace: "shop".into(),
                name: format!("{uid}-pod"),
            },
            owner: named("Deployment", uid),
            created_ns: 0,
            node: None,
            addresses: vec![address.parse().unwrap()],
            containers: vec![Container {
                id: format!("c-{uid}"),
                ..Container::default()
            }],
        }
    }

    #[test]
    fn an_address_means_what_it_meant_then() {
        let mut topology = Topology::default();
        let address = "10.1.0.7".parse().unwrap();
        let created = |uid, created_ns| PodRecord {
            created_ns,
            ..pod(uid, "10.1.0.7")
        };
        topology.see_pod(created("a", 10), 11);
        topology.lose_pod("a", 20);
        topology.see_pod(created("b", 30), 32);
        assert_eq!(topology.holder(address, 15), Some(&Holder::Pod("a".into())));
        assert_eq!(
            topology.holder(address, 25),
            Some(&Holder::Pod("a".into())),
            "the dead are remembered"
        );
        assert_eq!(
            topology.holder(address, 31),
            Some(&Holder::Pod("b".into())),
            "before it was told"
        );
        assert_eq!(topology.holder(address, 5), None);
    }

    #[test]
    fn a_pod_that_was_created_early_does_not_inherit_the_past_of_its_address() {
        let mut topology = Topology::default();
        topology.see_pod(pod("a", "10.1.0.7"), 10);
        topology.lose_pod("a", 20);
        topology.see_pod(pod("b", "10.1.0.7"), 30);
        let holder = topology.holder("10.1.0.7".parse().unwrap(), 15);
        assert_eq!(holder, Some(&Holder::Pod("a".into())));
    }

    #[test]
    fn a_service_keeps_its_workload_when_its_endpoints_vanish() {
        let mut topology = Topology::default();
        let service = Service {
            namespace: "shop".into(),
            name: "redis".into(),
        };
        topology.see_pod(pod("redis", "10.1.0.1"), 1);
        topology.see_service(&service, vec!["10.96.0.5".parse().unwrap()], 0, 1);
        assert_eq!(topology.workload_behind(&service), None, "no endpoints yet");
        topology.see_endpoints(&service, "slice", vec!["redis".into()]);
        topology.see_endpoints(&service, "slice", vec![]);
        assert_eq!(
            topology.workload_behind(&service),
            Some(named("Deployment", "redis"))
        );
        topology.see_pod(pod("other", "10.1.0.2"), 1);
        topology.see_endpoints(&service, "second", vec!["other".into()]);
        assert_eq!(topology.workload_behind(&service), None, "two workloads share it");
        topology.lose_endpoints("other", "slice");
        assert_eq!(topology.workload_behind(&service), None, "another namespace's");
        topology.lose_endpoints("shop", "slice");
        let behind = Some(named("Deployment", "other"));
        assert_eq!(topology.workload_behind(&service), behind);
        topology.lose_endpoints("shop", "second");
        assert_eq!(
            topology.workload_behind(&service),
            behind,
            "the last is still its own"
        );
    }

    #[test]
    fn a_pod_belongs_to_the_top_of_its_owner_chain() {
        let mut topology = Topology::default();
        let record = PodRecord {
            owner: named("ReplicaSet", "redis-5f"),
            ..pod("u", "10.1.0.1")
        };
        assert_eq!(
            topology.workload_of(&record),
            named("ReplicaSet", "redis-5f"),
            "until its owner is told"
        );
        topology.see_owner(named("ReplicaSet", "redis-5f"), named("Deployment", "redis"));
        assert_eq!(topology.workload_of(&record), named("Deployment", "redis"));
    }

    #[test]
    fn a_controller_is_remembered_as_long_as_its_pods() {
        let mut topology = Topology::default();
        let child = named("ReplicaSet", "redis-5f");
        let record = PodRecord {
            owner: child.clone(),
            ..pod("u", "10.1.0.1")
        };
        topology.see_pod(record.clone(), 1);
        topology.see_owner(child.clone(), named("Deployment", "redis"));
        topology.lose_owner(&child);
        topology.lose_pod("u", 2);
        topology.forget(3);
        assert_eq!(topology.workload_of(&record), named("Deployment", "redis"));
        topology.forget(2 + REMEMBER_NS);
        assert_eq!(topology.workload_of(&record), child, "forgotten");
    }

    #[test]
    fn the_long_dead_are_forgotten() {
        let mut topology = Topology::default();
        topology.see_pod(pod("a", "10.1.0.7"), 10);
        topology.lose_pod("a", 20);
        topology.forget(20 + REMEMBER_NS - 1);
        assert!(topology.pod_of_container("c-a").is_some());
        topology.forget(20 + REMEMBER_NS);
        assert!(topology.pod("a").is_none() && topology.pod_of_container("c-a").is_none());
        assert_eq!(topology.holder("10.1.0.7".parse().unwrap(), 15), None);
    }
}
