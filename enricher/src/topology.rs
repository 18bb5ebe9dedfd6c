//! What the API server tells: pods, their owners, addresses and services, versioned in time.
//!
//! An address means what it meant then: each carries who held it from when to when, and the dead are remembered.

use std::collections::HashMap;
use std::net::IpAddr;

use bus_schema::entity::{Container, Pod, Service, Workload};

/// The dead are remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;

/// A pod as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// Uid, namespace, name.
    pub pod: Pod,
    /// Top of its owner chain; the pod itself where nobody owns it.
    pub workload: Workload,
    /// Node it is bound to.
    pub node: Option<String>,
    /// Its own addresses; none when it shares the node's.
    pub addresses: Vec<IpAddr>,
    /// Its containers by runtime id.
    pub containers: Vec<Container>,
}

/// A Service as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Namespace and name.
    pub service: Service,
    /// Cluster and load-balancer addresses; none when headless.
    pub addresses: Vec<IpAddr>,
    /// The one workload behind its endpoints; `None` with several, or with none ever.
    pub workload: Option<Workload>,
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
    services: HashMap<(String, String), (ServiceRecord, Option<u64>)>,
    addresses: HashMap<IpAddr, Vec<Tenure>>,
}

impl Topology {
    /// A pod appeared or changed at `time_ns`.
    pub fn see_pod(&mut self, record: PodRecord, time_ns: u64) {
        let uid = record.pod.uid.clone();
        for address in &record.addresses {
            self.hold(*address, Holder::Pod(uid.clone()), time_ns);
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

    /// A Service appeared or changed at `time_ns`. The workload behind it is kept when its endpoints vanish.
    pub fn see_service(&mut self, mut record: ServiceRecord, time_ns: u64) {
        let key = (record.service.namespace.clone(), record.service.name.clone());
        for address in &record.addresses {
            self.hold(*address, Holder::Service(record.service.clone()), time_ns);
        }
        if record.workload.is_none() {
            record.workload = self
                .services
                .get(&key)
                .and_then(|(known, _)| known.workload.clone());
        }
        self.services.insert(key, (record, None));
    }

    /// A Service was deleted at `time_ns`.
    pub fn lose_service(&mut self, service: &Service, time_ns: u64) {
        if let Some((record, gone_ns)) = self
            .services
            .get_mut(&(service.namespace.clone(), service.name.clone()))
        {
            *gone_ns = Some(time_ns);
            let addresses = record.addresses.clone();
            for address in addresses {
                self.release(address, &Holder::Service(service.clone()), time_ns);
            }
        }
    }

    /// The pod with that uid.
    pub fn pod(&self, uid: &str) -> Option<&PodRecord> {
        self.pods.get(uid).map(|(record, _)| record)
    }

    /// The pod in which that container runs or ran.
    pub fn pod_of_container(&self, id: &str) -> Option<&PodRecord> {
        self.pod(self.containers.get(id)?)
    }

    /// A Service.
    pub fn service(&self, service: &Service) -> Option<&ServiceRecord> {
        self.services
            .get(&(service.namespace.clone(), service.name.clone()))
            .map(|(record, _)| record)
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
        self.services.retain(|_, (_, gone_ns)| is_remembered(gone_ns));
        let pods = &self.pods;
        self.containers.retain(|_, uid| pods.contains_key(uid));
        self.addresses.retain(|_, tenures| {
            tenures.retain(|tenure| is_remembered(&tenure.until_ns));
            !tenures.is_empty()
        });
    }

    fn hold(&mut self, address: IpAddr, holder: Holder, time_ns: u64) {
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
        tenures.push(Tenure {
            holder,
            since_ns: time_ns,
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

    fn pod(uid: &str, address: &str) -> PodRecord {
        let named = |name: &str| Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: name.into(),
        };
        PodRecord {
            pod: Pod {
                uid: uid.into(),
                namespace: "shop".into(),
                name: format!("{uid}-pod"),
            },
            workload: named(uid),
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
        topology.see_pod(pod("a", "10.1.0.7"), 10);
        topology.lose_pod("a", 20);
        topology.see_pod(pod("b", "10.1.0.7"), 30);
        assert_eq!(topology.holder(address, 15), Some(&Holder::Pod("a".into())));
        assert_eq!(
            topology.holder(address, 25),
            Some(&Holder::Pod("a".into())),
            "the dead are remembered"
        );
        assert_eq!(topology.holder(address, 35), Some(&Holder::Pod("b".into())));
        assert_eq!(topology.holder(address, 5), None);
    }

    #[test]
    fn a_service_keeps_its_workload_when_its_endpoints_vanish() {
        let mut topology = Topology::default();
        let service = Service {
            namespace: "shop".into(),
            name: "redis".into(),
        };
        let workload = pod("redis", "10.1.0.1").workload;
        let record = |workload| ServiceRecord {
            service: service.clone(),
            addresses: vec!["10.96.0.5".parse().unwrap()],
            workload,
        };
        topology.see_service(record(Some(workload.clone())), 1);
        topology.see_service(record(None), 2);
        assert_eq!(topology.service(&service).unwrap().workload, Some(workload));
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
