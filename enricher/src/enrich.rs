//! Fills in who is who in a batch, and says in which partition each event is joined with others.
//!
//! The bus counts messages, not events: a batch leaves as at most one message a partition, not one a workload. For the same
//! reason a raw partition tells how far its time has come itself, instead of passing on what each of its producers says.

use std::collections::BTreeMap;

use bus_schema::entity::{Address, MOST_BACKENDS, Service};
use bus_schema::event::{Body, Event};
use bus_schema::family;
use bus_schema::names::{partition_of_slot, slot};
use bus_schema::{Batch, Entity, Header};
use bus_stage::watermark::{Watermark, is_heartbeat_due};
use serde::{Deserialize, Serialize};

use crate::listeners::Listeners;
use crate::namespaces::Namespaces;
use crate::topology::{Holder, PodRecord, Topology};

/// The state of one raw partition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Enricher {
    listeners: Listeners,
    #[serde(default)]
    namespaces: Namespaces,
    watermark: Watermark,
    /// How far time had come when it was last told, UNIX ns.
    told_ns: u64,
}

/// What a batch becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Enriched {
    /// Its events.
    pub shares: Vec<Share>,
    /// Everything up to this time (UNIX ns) has gone to the enriched partitions, which all have to hear of it; `None` while it
    /// is not worth a message.
    pub watermark_ns: Option<u64>,
}

/// The events of one partition, in the order of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Partition of the enriched side.
    pub partition: u16,
    /// Events of that partition.
    pub events: Vec<Event>,
}

impl Enricher {
    /// Enriches a batch and splits it by partition.
    pub fn apply(&mut self, topology: &Topology, batch: Batch, partitions: u16) -> Enriched {
        let mut shares: BTreeMap<u16, Vec<Event>> = BTreeMap::new();
        for mut event in batch.events {
            self.learn(&event, &batch.header.node);
            self.fill(topology, &mut event, &batch.header);
            let partition = partition_of(&event, partitions);
            shares.entry(partition).or_default().push(event);
        }
        let header = &batch.header;
        let step = self
            .watermark
            .note(header.producer(), header.watermark_ns, header.received_ns);
        let left = header.leaving.then(|| self.watermark.leave(&header.producer()));
        for step in step.into_iter().chain(left.flatten()) {
            // What is known of the past goes back with the clock.
            step.move_times(self);
        }
        let shares = shares
            .into_iter()
            .map(|(partition, events)| Share { partition, events });
        Enriched {
            shares: shares.collect(),
            watermark_ns: self.tell_time(),
        }
    }

    fn learn(&mut self, event: &Event, node: &str) {
        if let Body::NetworkNamespace(told) = &event.body {
            self.namespaces.told(node, told, event.time_ns);
        }
        let Body::Listening(listening) = &event.body else {
            return;
        };
        let Some(address) = event.object.as_ref().and_then(|object| object.address.as_ref()) else {
            return;
        };
        if listening.open {
            self.listeners
                .opened(node, address, &event.subject, event.time_ns);
        } else {
            self.listeners
                .closed(node, address, &event.subject, event.time_ns);
        }
    }

    fn fill(&self, topology: &Topology, event: &mut Event, header: &Header) {
        let (time_ns, node) = (event.time_ns, &header.node);
        let own = Some(node.as_str()).filter(|_| !family::is_cluster_scoped(&header.observer));
        match event.subject.address.clone() {
            // Somebody of whom no more is known than from where the packets came.
            Some(address) if event.subject.cgroup.is_none() && event.subject.workload.is_none() => {
                self.fill_remote(topology, &mut event.subject, &address, node, time_ns);
            }
            _ => fill_local(topology, &mut event.subject, own),
        }
        if let Some(object) = &mut event.object {
            match object.address.clone() {
                Some(address) if object.workload.is_none() => {
                    self.fill_remote(topology, object, &address, node, time_ns);
                }
                Some(_) => {}
                None => fill_local(topology, object, own),
            }
        }
        for entity in [Some(&mut event.subject), event.object.as_mut()]
            .into_iter()
            .flatten()
        {
            entity.identity = Some(entity.identity());
        }
    }

    /// Someone behind an address: a pod, Service or node of the cluster, else who listens there on the same node.
    fn fill_remote(
        &self,
        topology: &Topology,
        object: &mut Entity,
        address: &Address,
        node: &str,
        time_ns: u64,
    ) {
        match topology.holder(address.ip, time_ns) {
            Some(Holder::Pod(uid)) => topology
                .pod(uid)
                .into_iter()
                .for_each(|record| fill_pod(topology, object, record)),
            Some(Holder::Service(service)) => fill_service(topology, object, service, time_ns),
            Some(Holder::Node(at)) => {
                let here = || self.listener(node, address, time_ns);
                match (at == node).then(here).flatten() {
                    Some(owner) => fill_listener(topology, object, owner, node),
                    None => self.fill_node(topology, object, address, at, time_ns),
                }
            }
            None => {
                if let Some(owner) = self.listener(node, address, time_ns) {
                    fill_listener(topology, object, owner, node);
                }
            }
        }
    }

    /// Who listens at an address as a caller on `node` sees it. Where it is not known which network namespace answers there, only
    /// a socket of that very address in the caller's own is certain.
    fn listener(&self, node: &str, address: &Address, time_ns: u64) -> Option<&Entity> {
        let answering = self
            .namespaces
            .answering(node, address.net_ns, address.ip, time_ns);
        match answering {
            Some(net_ns) => {
                let there = Address {
                    net_ns,
                    ..address.clone()
                };
                self.listeners.at(node, &there, time_ns)
            }
            None => self.listeners.bound_to(node, address, time_ns),
        }
    }

    /// Someone at an address of the node `at`: a Service behind one of its ports, else who listens there on the node's own
    /// network as far as its observers are read here, else the node. A peer without a port is anybody on the node.
    fn fill_node(&self, topology: &Topology, object: &mut Entity, address: &Address, at: &str, time_ns: u64) {
        let is_on_hosts_network = |owner: &Entity| {
            let pod = owner.pod.as_ref().and_then(|pod| topology.pod(&pod.uid));
            owner.pod.is_none() && owner.container.is_none() || pod.is_some_and(|pod| pod.shares_node)
        };
        let holding = self.namespaces.holding(at, address.ip, time_ns);
        let answers = |net_ns, owner: &Entity| match holding.as_deref() {
            Some([only]) => *only == net_ns,
            Some(several) => several.contains(&net_ns) && is_on_hosts_network(owner),
            None => is_on_hosts_network(owner),
        };
        let listener = || self.listeners.of_node(at, address, time_ns, answers);
        if let Some(service) = topology.service_at(address.port) {
            fill_service(topology, object, service, time_ns);
        } else if let Some(owner) = listener() {
            fill_listener(topology, object, owner, at);
        } else if address.port == 0 {
            *object = Entity::of_node(at);
        } else {
            object.node = Some(at.to_owned());
        }
    }

    fn tell_time(&mut self) -> Option<u64> {
        let now_ns = self.watermark.now_ns();
        is_heartbeat_due(self.told_ns, now_ns).then(|| {
            self.told_ns = now_ns;
            now_ns
        })
    }
}

/// The partition of whoever was affected.
fn partition_of(event: &Event, partitions: u16) -> u16 {
    match partitions {
        0 | 1 => 0,
        several => partition_of_slot(slot(&event.affected().key()), several),
    }
}

/// Someone on the observer's own node; on any, where the observer looks at the whole cluster.
fn fill_local(topology: &Topology, entity: &mut Entity, node: Option<&str>) {
    if entity.node.is_none() {
        entity.node = node.map(ToOwned::to_owned);
    }
    let by_container = entity
        .container
        .as_ref()
        .and_then(|container| topology.pod_of_container(&container.id));
    let by_uid = || entity.pod.as_ref().and_then(|pod| topology.pod(&pod.uid));
    if let Some(record) = by_container.or_else(by_uid) {
        fill_pod(topology, entity, record);
    }
}

fn fill_service(topology: &Topology, object: &mut Entity, service: &Service, time_ns: u64) {
    let mut workloads = topology.workloads_behind(service, time_ns);
    object.service = Some(service.clone());
    if workloads.len() == 1 {
        object.workload = workloads.pop();
    } else {
        workloads.truncate(MOST_BACKENDS);
        object.backends = workloads;
    }
}

/// The owner of a socket on `node`, at the address by which it was reached.
fn fill_listener(topology: &Topology, object: &mut Entity, owner: &Entity, node: &str) {
    let address = object.address.take();
    let mut owner = owner.clone();
    fill_local(topology, &mut owner, Some(node));
    *object = Entity { address, ..owner };
}

fn fill_pod(topology: &Topology, entity: &mut Entity, record: &PodRecord) {
    entity.pod = Some(record.pod.clone());
    entity.workload = Some(topology.workload_of(record));
    if entity.node.is_none() {
        entity.node.clone_from(&record.node);
    }
    if let Some(container) = &mut entity.container
        && let Some(known) = record.containers.iter().find(|known| known.id == container.id)
    {
        container.clone_from(known);
    }
}

#[cfg(test)]
mod tests;
