//! Relations between the objects of a generated cluster, as the enricher tells them.

use std::collections::BTreeMap;

use anyhow::Result;
use bus_schema::SCHEMA_VERSION;
use bus_schema::entity::Identity;
use bus_schema::topology::{MOUNTS, REFERS_TO, ROUTES_TO, RUNS_ON, Related, Relations, SELECTS};

use super::bus::{Bus, CLUSTER};
use super::graph::{Graph, NAMESPACE, Tier};
use super::numbers::MILLI;

/// From a change until its relation is told.
const WAY_NS: u64 = 150 * MILLI;

/// Every relation that was told.
#[derive(Debug, Default)]
pub(super) struct Topology(BTreeMap<(&'static str, Identity), Vec<Related>>);

impl Topology {
    /// Everything that holds when it begins. `runs_on` gives the nodes of each service.
    pub(super) fn begin(
        &mut self,
        bus: &mut Bus,
        graph: &Graph,
        now_ns: u64,
        runs_on: impl Fn(usize) -> Vec<usize>,
    ) -> Result<()> {
        for id in graph.services.ids() {
            let service = &graph.services[id];
            if service.tier == Tier::Outside {
                continue;
            }
            let nodes = runs_on(id)
                .into_iter()
                .map(|node| node_identity(&graph.nodes[node]));
            self.begin_one(RUNS_ON, deployment(&service.name), nodes.collect(), now_ns);
            self.begin_one(
                SELECTS,
                service_identity(&service.name),
                vec![deployment(&service.name)],
                now_ns,
            );
            if service.tier == Tier::Front {
                let to = vec![service_identity(&service.name)];
                self.begin_one(
                    ROUTES_TO,
                    Identity::new("Ingress", NAMESPACE, &service.name),
                    to,
                    now_ns,
                );
            }
            for (relation, is_mounted) in [(MOUNTS, true), (REFERS_TO, false)] {
                let read = graph
                    .configs
                    .iter()
                    .filter(|config| config.is_mounted == is_mounted && config.readers.contains(&id));
                let configs = read
                    .map(|config| Identity::new("ConfigMap", NAMESPACE, &config.name))
                    .collect();
                self.begin_one(relation, deployment(&service.name), configs, now_ns);
            }
        }
        let all: Vec<_> = self.0.keys().cloned().collect();
        all.into_iter()
            .try_for_each(|(relation, from)| self.tell(bus, relation, &from, now_ns))
    }

    fn begin_one(&mut self, relation: &'static str, from: Identity, to: Vec<Identity>, now_ns: u64) {
        if !to.is_empty() {
            let related = to.into_iter().map(|to| related(to, now_ns));
            self.0.insert((relation, from), related.collect());
        }
    }

    /// The Service selects the pods of its workload, or no more.
    pub(super) fn selects(&mut self, bus: &mut Bus, service: &str, holds: bool, now_ns: u64) -> Result<()> {
        self.change(
            bus,
            &(SELECTS, service_identity(service)),
            vec![deployment(service)],
            holds,
            now_ns,
        )
    }

    /// Pods of the workload run on these nodes, or on none any more.
    pub(super) fn runs_on(
        &mut self,
        bus: &mut Bus,
        service: &str,
        nodes: &[&str],
        now_ns: u64,
    ) -> Result<()> {
        let to = nodes.iter().map(|node| node_identity(node)).collect();
        self.change(
            bus,
            &(RUNS_ON, deployment(service)),
            to,
            !nodes.is_empty(),
            now_ns,
        )
    }

    fn change(
        &mut self,
        bus: &mut Bus,
        key: &(&'static str, Identity),
        to: Vec<Identity>,
        holds: bool,
        now_ns: u64,
    ) -> Result<()> {
        let targets = self.0.entry(key.clone()).or_default();
        if holds {
            targets.extend(to.into_iter().map(|to| related(to, now_ns)));
        } else {
            let open = targets.iter_mut().filter(|target| target.until_ns.is_none());
            open.for_each(|target| target.until_ns = Some(now_ns));
        }
        self.tell(bus, key.0, &key.1, now_ns)
    }

    fn tell(&self, bus: &mut Bus, relation: &'static str, from: &Identity, now_ns: u64) -> Result<()> {
        let mut targets = self.0.get(&(relation, from.clone())).cloned().unwrap_or_default();
        targets.sort_unstable();
        let relations = Relations {
            schema: SCHEMA_VERSION,
            cluster: CLUSTER.into(),
            relation: relation.to_owned(),
            from: from.clone(),
            told_ns: now_ns,
            targets,
            left_out: 0,
        };
        bus.relate(now_ns + WAY_NS, &relations)
    }
}

fn related(to: Identity, since_ns: u64) -> Related {
    Related {
        to,
        since_ns,
        until_ns: None,
    }
}

fn deployment(name: &str) -> Identity {
    Identity::new("Deployment", NAMESPACE, name)
}

fn service_identity(name: &str) -> Identity {
    Identity::new("Service", NAMESPACE, name)
}

fn node_identity(name: &str) -> Identity {
    Identity::new("Node", "", name)
}
