//! Who is who in events, as the enricher writes it.

use std::net::{IpAddr, Ipv4Addr};

use bus_schema::Entity;
use bus_schema::entity::{Address, Cgroup, Container, Identity, Pod, Process, Workload};

use super::graph::{NAMESPACE, Service, Tier};
use super::names;
use super::numbers::Dice;

const DEPLOYMENT: &str = "Deployment";
/// Where the users of the Ingress come from.
const USERS: [u8; 4] = [10, 244, 0, 1];

/// A pod as events name it.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// As whoever acts or suffers.
    pub(super) pod: Entity,
    /// As the other end of a connection.
    pub(super) peer: Entity,
    /// Its main process, and the pause container's.
    pub(super) main: Process,
    pub(super) pause: Process,
}

impl Cast {
    /// The main process in its pod.
    pub(super) fn process(&self) -> Entity {
        Entity {
            process: Some(self.main.clone()),
            ..self.pod.clone()
        }
    }

    /// The process that holds the pod's network.
    pub(super) fn pause_process(&self) -> Entity {
        Entity {
            process: Some(self.pause.clone()),
            ..self.pod.clone()
        }
    }
}

/// The workload of a service.
pub(super) fn workload(service: &Service) -> Workload {
    Workload {
        kind: DEPLOYMENT.into(),
        namespace: NAMESPACE.into(),
        name: service.name.clone(),
    }
}

/// The same as an entity.
pub(super) fn deployment(service: &Service) -> Entity {
    of_workload(workload(service))
}

/// Any workload as an entity.
pub(super) fn of_workload(workload: Workload) -> Entity {
    identified(Entity::of_workload(workload))
}

/// The node itself.
pub(super) fn node(name: &str) -> Entity {
    identified(Entity::of_node(name))
}

/// An object that is no workload.
pub(super) fn object(kind: &str, name: &str) -> Entity {
    Entity::of_object(kind, NAMESPACE, name)
}

/// Whom callers call: the Service and the workload behind it, or an address outside of the cluster.
pub(super) fn callee(service: &Service, number: usize) -> Entity {
    let [.., high, low] = number.to_be_bytes();
    if service.tier == Tier::Outside {
        return identified(Entity::of_address(address([203, 0, 113, low], service.port)));
    }
    identified(Entity {
        workload: Some(workload(service)),
        service: Some(bus_schema::entity::Service {
            namespace: NAMESPACE.into(),
            name: service.name.clone(),
        }),
        address: Some(address([10, 96, high, low], service.port)),
        ..Entity::default()
    })
}

/// Users outside of the cluster.
pub(super) fn users() -> Entity {
    identified(Entity::of_address(address(USERS, 0)))
}

/// Somebody's shell on a node.
pub(super) fn shell(node: &str, pid: u32) -> Entity {
    tool(node, "bash", pid)
}

/// The container runtime on a node.
pub(super) fn runtime(node: &str, pid: u32) -> Entity {
    tool(node, "runc", pid)
}

/// The `number`th pod of all, a new one of `service` on `node`.
pub(super) fn cast(
    dice: &mut Dice,
    service: &Service,
    set: &str,
    node: &str,
    number: usize,
    now_ns: u64,
) -> Cast {
    let (uid, id) = (names::uid(dice), names::container(dice));
    let pid = 2_000 + u32::try_from(number * 16).unwrap_or_default();
    let process = |pid: u32, comm: &str| Process {
        pid,
        start_ns: now_ns,
        comm: comm.into(),
        exe: String::new(),
    };
    let pod = Entity {
        workload: Some(workload(service)),
        pod: Some(Pod {
            uid: uid.clone(),
            namespace: NAMESPACE.into(),
            name: format!("{}-{set}-{}", service.name, names::letters(dice, 5)),
        }),
        node: Some(node.to_owned()),
        ..Entity::default()
    };
    let pod = identified(pod);
    let [.., high, low] = (number + 2).to_be_bytes();
    let peer = Entity {
        address: Some(address([10, 244, high, low], 0)),
        ..pod.clone()
    };
    let comm: String = service.name.chars().take(15).collect();
    Cast {
        peer,
        main: process(pid, &comm),
        pause: process(pid + 1, "pause"),
        pod: Entity {
            cgroup: Some(Cgroup {
                id: 5_000 + number as u64,
                path: format!("/kubepods/burstable/pod{uid}/{id}"),
            }),
            container: Some(Container {
                id,
                name: service.name.clone(),
                image: image(service),
            }),
            ..pod
        },
    }
}

/// The image of the present version.
pub(super) fn image(service: &Service) -> String {
    format!("registry.local/{}:1.{}", service.name, service.version)
}

fn tool(node: &str, comm: &str, pid: u32) -> Entity {
    Entity {
        process: Some(Process {
            pid,
            comm: comm.into(),
            ..Process::default()
        }),
        node: Some(node.to_owned()),
        ..Entity::default()
    }
}

fn address(ip: [u8; 4], port: u16) -> Address {
    Address {
        ip: IpAddr::V4(Ipv4Addr::from(ip)),
        port,
        net_ns: 0,
    }
}

fn identified(mut entity: Entity) -> Entity {
    entity.identity = Some(Identity::of(&entity));
    entity
}
