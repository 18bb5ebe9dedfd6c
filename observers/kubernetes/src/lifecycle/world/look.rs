//! One look at an object: its states now, compared with those that were told.

use bus_schema::Entity;
use bus_schema::entity::{Container, Pod as PodName, Workload as Name};
use bus_schema::event::kubernetes::State;

use super::objects::within;
use super::{Source, World};
use crate::lifecycle::facts::{Hints, Pod};
use crate::lifecycle::finding::Finding;
use crate::lifecycle::held::{Look, Transition};
use crate::lifecycle::key::{Key, Kind};
use crate::lifecycle::states::{self, Around, Behind};

impl World {
    /// Gives what has changed. What began before `watched_since_ns` is told late.
    pub(super) fn look(&mut self, key: &Key, now_ns: u64, watched_since_ns: u64) -> Vec<Transition> {
        let Some(findings) = self.findings(key, now_ns) else {
            return Vec::new();
        };
        let objects = &self.objects;
        let subject = |container: &str| match objects.pods.get(key) {
            Some((pod, _)) => of_pod(pod, objects.workload_of(pod), container),
            None => of_object(key),
        };
        let look = Look {
            now_ns,
            watched_since_ns,
        };
        let (told, again_ns) = self.held.reconcile(key, findings, subject, look);
        self.timers.set(key, again_ns);
        told
    }

    /// `None` where nothing can be said.
    fn findings(&mut self, key: &Key, now_ns: u64) -> Option<Vec<Finding>> {
        let nothing = Hints::default();
        let objects = &mut self.objects;
        let hints = |uid: &str| objects.hints.get(uid).unwrap_or(&nothing);
        match key.kind {
            Kind::Pod => {
                let (pod, crashes) = objects.pods.get_mut(key)?;
                let around = Around {
                    hints: hints(&pod.meta.uid),
                    nodes: &objects.nodes,
                    holds_not_ready: self.held.is_in(key, State::NotReady),
                    now_ns,
                };
                Some(states::of_pod(pod, crashes, &around))
            }
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                let (workload, progress) = objects.workloads.get_mut(key)?;
                let hints = hints(&workload.meta.uid);
                Some(states::of_workload(workload, progress, hints, now_ns))
            }
            Kind::Job => {
                let job = objects.jobs.get(key)?;
                Some(states::of_job(job, hints(&job.meta.uid)))
            }
            Kind::Node => Some(states::of_node(objects.nodes.get(&key.name)?, now_ns)),
            Kind::Claim => {
                let claim = objects.claims.get(key)?;
                let found = states::of_claim(claim, hints(&claim.meta.uid));
                // Whether it waits for a pod is told by Events alone.
                let is_told = self.known.contains(&Source::Claims);
                Some(
                    found
                        .into_iter()
                        .filter(|finding| is_told || finding.because.is_known())
                        .collect(),
                )
            }
            Kind::Service => self.findings_of_service(key, now_ns),
            Kind::ReplicaSet | Kind::Slice => None,
        }
    }

    fn findings_of_service(&mut self, key: &Key, now_ns: u64) -> Option<Vec<Finding>> {
        // Without them every Service looks empty, or nobody knows why it is.
        let needed = [Kind::Slice, Kind::Pod, Kind::Deployment, Kind::StatefulSet];
        if !needed
            .iter()
            .all(|kind| self.known.contains(&Source::Objects(*kind)))
        {
            return None;
        }
        let objects = &mut self.objects;
        let (service, past) = objects.services.get_mut(key)?;
        let namespace = &key.namespace;
        let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
        let workloads = kinds
            .into_iter()
            .flat_map(|kind| within(&objects.workloads, kind, namespace));
        let slices = within(&objects.slices, Kind::Slice, namespace).map(|(_, slice)| slice);
        let behind = Behind {
            slices: slices.filter(|slice| slice.service == key.name).collect(),
            pods: within(&objects.pods, Kind::Pod, namespace)
                .map(|(_, (pod, _))| pod)
                .collect(),
            workloads: workloads.map(|(_, (workload, _))| workload).collect(),
            now_ns,
        };
        Some(states::of_service(service, past, &behind))
    }
}

fn of_pod(pod: &Pod, workload: Option<Name>, container: &str) -> Entity {
    Entity {
        pod: Some(PodName {
            uid: pod.meta.uid.clone(),
            namespace: pod.meta.key.namespace.clone(),
            name: pod.meta.key.name.clone(),
        }),
        container: (!container.is_empty()).then(|| Container {
            name: container.to_owned(),
            ..Container::default()
        }),
        node: pod.node.clone(),
        workload,
        ..Entity::default()
    }
}

fn of_object(key: &Key) -> Entity {
    let Key {
        kind,
        namespace,
        name,
    } = key;
    match kind {
        Kind::Node => Entity::of_node(name),
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job => {
            Entity::of_workload(Name {
                kind: kind.name().to_owned(),
                namespace: namespace.clone(),
                name: name.clone(),
            })
        }
        Kind::Pod | Kind::Service | Kind::Slice | Kind::Claim => {
            Entity::of_object(kind.name(), namespace, name)
        }
    }
}
