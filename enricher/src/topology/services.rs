//! Services: the ports at which nodes pass calls on to them, and which pods were behind them from when to when.

use std::collections::HashMap;

use bus_schema::entity::Service;

use super::is_remembered;

#[derive(Debug, Default)]
struct Record {
    members: Vec<Member>,
    node_ports: Vec<u16>,
    gone_ns: Option<u64>,
}

/// A pod behind a Service.
#[derive(Debug)]
struct Member {
    pod: String,
    slice: String,
    since_ns: u64,
    /// `None` while it is.
    until_ns: Option<u64>,
}

/// The Services of the cluster.
#[derive(Debug, Default)]
pub(super) struct Services {
    records: HashMap<Service, Record>,
    by_node_port: HashMap<u16, Service>,
}

impl Services {
    pub(super) fn see(&mut self, service: &Service, node_ports: &[u16]) {
        let record = self.records.entry(service.clone()).or_default();
        record.gone_ns = None;
        let before = std::mem::replace(&mut record.node_ports, node_ports.to_vec());
        for port in before.iter().filter(|port| !node_ports.contains(port)) {
            release(&mut self.by_node_port, *port, service);
        }
        for port in node_ports {
            self.by_node_port.insert(*port, service.clone());
        }
    }

    pub(super) fn lose(&mut self, service: &Service, time_ns: u64) {
        if let Some(record) = self.records.get_mut(service) {
            record.gone_ns = Some(time_ns);
        }
    }

    /// The Service that is reached at this port of every node.
    pub(super) fn at(&self, node_port: u16) -> Option<&Service> {
        self.by_node_port.get(&node_port)
    }

    /// What a slice held before it was first told is not known: its pods count as having been there.
    pub(super) fn see_endpoints(&mut self, service: &Service, slice: &str, pods: &[String], time_ns: u64) {
        let members = &mut self.records.entry(service.clone()).or_default().members;
        let is_known = members.iter().any(|member| member.slice == slice);
        leave(members, slice, pods, time_ns);
        for pod in pods {
            let is_member =
                |member: &Member| member.pod == *pod && member.slice == slice && member.until_ns.is_none();
            if !members.iter().any(is_member) {
                members.push(Member {
                    pod: pod.clone(),
                    slice: slice.to_owned(),
                    since_ns: if is_known { time_ns } else { 0 },
                    until_ns: None,
                });
            }
        }
    }

    pub(super) fn lose_endpoints(&mut self, namespace: &str, slice: &str, time_ns: u64) {
        let here = self
            .records
            .iter_mut()
            .filter(|(service, _)| service.namespace == namespace);
        for (_, record) in here {
            leave(&mut record.members, slice, &[], time_ns);
        }
    }

    /// Uids of the pods behind a Service at `time_ns`, else of those that were last: a Service whose pods have died is still
    /// theirs.
    pub(super) fn pods_behind(&self, service: &Service, time_ns: u64) -> Vec<&str> {
        let members = self.records.get(service).map(|record| record.members.as_slice());
        let begun = || {
            members
                .unwrap_or_default()
                .iter()
                .filter(|member| member.since_ns <= time_ns)
        };
        let end_ns = |member: &Member| member.until_ns.unwrap_or(u64::MAX).min(time_ns);
        let Some(last_ns) = begun().map(end_ns).max() else {
            return Vec::new();
        };
        let last = begun().filter(|member| end_ns(member) == last_ns);
        last.map(|member| member.pod.as_str()).collect()
    }

    /// Forgets the dead, but not the last that were behind a Service.
    pub(super) fn forget(&mut self, now_ns: u64) {
        let by_node_port = &mut self.by_node_port;
        self.records.retain(|service, record| {
            let is_kept = is_remembered(record.gone_ns, now_ns);
            for port in record.node_ports.iter().filter(|_| !is_kept) {
                release(by_node_port, *port, service);
            }
            is_kept
        });
        for record in self.records.values_mut() {
            let end_ns = |member: &Member| member.until_ns.unwrap_or(u64::MAX);
            let last_ns = record.members.iter().map(end_ns).max();
            record
                .members
                .retain(|member| is_remembered(member.until_ns, now_ns) || Some(end_ns(member)) == last_ns);
        }
    }
}

/// Those of a slice that are not among `pods` are behind the Service no more.
fn leave(members: &mut [Member], slice: &str, pods: &[String], time_ns: u64) {
    let gone = members
        .iter_mut()
        .filter(|member| member.slice == slice && !pods.contains(&member.pod));
    for member in gone {
        member.until_ns.get_or_insert(time_ns);
    }
}

/// Another Service may have the port by now.
fn release(by_node_port: &mut HashMap<u16, Service>, port: u16, service: &Service) {
    if by_node_port.get(&port) == Some(service) {
        by_node_port.remove(&port);
    }
}
