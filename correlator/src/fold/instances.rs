//! Who listens for a service: one of several that ends takes only its share of the connections with it.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::event::Event;
use serde::{Deserialize, Serialize};

use super::evicted::Evicted;
use super::seen::Name;

/// Listeners are told again every minute; one that was not for this long is gone with its node.
const SILENT_NS: u64 = 180 * 1_000_000_000;
/// Most services, and most sockets of one.
const MOST_SERVICES: usize = 20_000;
const MOST_SOCKETS: usize = 1_000;

/// Instance and port.
type Socket = (String, u16);

/// When each listening socket of each service was last told, UNIX ns.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Instances {
    #[serde(with = "super::pairs")]
    sockets: BTreeMap<Name, Vec<(Socket, u64)>>,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

impl Instances {
    /// A socket listens, or does no more. Says whether that is news: what listens is told again and again.
    pub(super) fn note(&mut self, event: &Event, is_open: bool) -> bool {
        let Some(instance) = instance(&event.subject) else {
            return true;
        };
        let address = event.object.as_ref().and_then(|object| object.address.as_ref());
        let socket = (instance, address.map_or(0, |address| address.port));
        let service = Name::of(Some(&event.subject));
        self.evicted.make_room(&mut self.sockets, &service, MOST_SERVICES);
        let sockets = self.sockets.entry(service.clone()).or_default();
        sockets.retain(|(_, told_ns)| event.time_ns < told_ns + SILENT_NS);
        let before = sockets.len();
        sockets.retain(|(known, _)| *known != socket);
        let is_news = is_open == (sockets.len() == before);
        if is_open && sockets.len() < MOST_SOCKETS {
            sockets.push((socket, event.time_ns));
        }
        if sockets.is_empty() {
            self.sockets.remove(&service);
        }
        is_news
    }

    /// Instances of the service of `subject` that listen at `time_ns`, without its own.
    pub(super) fn others(&self, subject: &Entity, time_ns: u64) -> usize {
        let (Some(own), Some(sockets)) = (instance(subject), self.sockets.get(&Name::of(Some(subject))))
        else {
            return 0;
        };
        let listening = sockets
            .iter()
            .filter(|(_, told_ns)| time_ns < told_ns + SILENT_NS);
        let mut others: Vec<_> = listening
            .map(|((instance, _), _)| instance)
            .filter(|instance| **instance != own)
            .collect();
        others.sort_unstable();
        others.dedup();
        others.len()
    }
}

/// A pod; elsewhere a control group, whose processes stand in for each other.
fn instance(entity: &Entity) -> Option<String> {
    match (&entity.pod, &entity.cgroup) {
        (Some(pod), _) => Some(pod.uid.clone()),
        (None, Some(cgroup)) => Some(cgroup.path.clone()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::entity::{Address, Pod, Workload};
    use bus_schema::event::Body;
    use bus_schema::event::network::Listening;
    use bus_schema::{EventId, Severity};

    use super::*;

    fn pod(uid: &str) -> Entity {
        let workload = Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "redis".into(),
        };
        Entity {
            pod: Some(Pod {
                uid: uid.into(),
                ..Pod::default()
            }),
            ..Entity::of_workload(workload)
        }
    }

    fn listening(uid: &str, port: u16, time_ns: u64, open: bool) -> (Event, bool) {
        let address = Address {
            ip: "10.0.0.1".parse().unwrap(),
            port,
            net_ns: 1,
        };
        let event = Event {
            id: EventId(1),
            time_ns,
            observed_ns: time_ns,
            severity: Severity::Info,
            subject: pod(uid),
            object: Some(Entity::of_address(address)),
            count: 1,
            window_ns: 0,
            trace: None,
            body: Body::Listening(Listening { open }),
        };
        (event, open)
    }

    fn after(told: &[(Event, bool)]) -> Instances {
        let mut instances = Instances::default();
        for (event, is_open) in told {
            instances.note(event, *is_open);
        }
        instances
    }

    #[test]
    fn a_new_pod_that_listens_stands_in_for_the_old_one_but_nobody_for_the_last() {
        let both = after(&[listening("old", 80, 1, true), listening("new", 80, 2, true)]);
        assert_eq!(both.others(&pod("old"), 3), 1);
        let last = after(&[
            listening("old", 80, 1, true),
            listening("new", 80, 2, true),
            listening("old", 80, 3, false),
        ]);
        assert_eq!((last.others(&pod("old"), 4), last.others(&pod("new"), 4)), (1, 0));
    }

    #[test]
    fn several_ports_are_one_instance_and_the_long_silent_none() {
        let told = [listening("a", 80, 1, true), listening("a", 81, 1, true)];
        assert_eq!(after(&told).others(&pod("b"), 2), 1);
        assert_eq!(after(&told).others(&pod("b"), 1 + SILENT_NS), 0);
    }
}
