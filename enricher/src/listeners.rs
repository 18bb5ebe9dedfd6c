//! Who listens where on a node, learned from the observers. The dead are remembered: a refused connection asks for
//! whoever listened there before.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bus_schema::Entity;
use bus_schema::entity::Address;
use serde::{Deserialize, Serialize};

/// A listener that is gone is remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;
/// Most listeners of one partition.
const MOST_LISTENERS: usize = 50_000;

/// Node, network namespace, port.
type Key = (String, u32, u16);

/// Everything that listens, or did until a while ago.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Listeners {
    #[serde(with = "pairs")]
    by_port: BTreeMap<Key, Vec<Listener>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listener {
    ip: IpAddr,
    owner: Entity,
    since_ns: u64,
    /// `None` while it listens.
    until_ns: Option<u64>,
}

impl Listeners {
    /// Notes that `owner` listens at `address` of `node` from `time_ns` on.
    pub fn opened(&mut self, node: &str, address: &Address, owner: &Entity, time_ns: u64) {
        let key = (node.to_owned(), address.net_ns, address.port);
        if self.by_port.len() >= MOST_LISTENERS && !self.by_port.contains_key(&key) {
            self.forget(time_ns);
        }
        let listeners = self.by_port.entry(key).or_default();
        let owner = lasting(owner);
        let known = listeners
            .iter_mut()
            .find(|listener| listener.ip == address.ip && listener.owner == owner);
        match known {
            Some(listener) => listener.until_ns = None,
            None => listeners.push(Listener {
                ip: address.ip,
                owner,
                since_ns: time_ns,
                until_ns: None,
            }),
        }
        listeners.retain(|listener| listener.is_remembered(time_ns));
    }

    /// Notes that `owner` listens at `address` no more.
    pub fn closed(&mut self, node: &str, address: &Address, owner: &Entity, time_ns: u64) {
        let owner = lasting(owner);
        let listeners = self
            .by_port
            .get_mut(&(node.to_owned(), address.net_ns, address.port));
        for listener in listeners.into_iter().flatten() {
            if listener.ip == address.ip && listener.owner == owner {
                listener.until_ns = Some(time_ns);
            }
        }
    }

    /// Who listened at `address` at `time_ns`, as a call that arrives in its network namespace finds it; else who did last
    /// before. A wildcard socket serves every address of its namespace.
    pub fn at(&self, node: &str, address: &Address, time_ns: u64) -> Option<&Entity> {
        let listeners = self.listeners_of(node, address);
        last_of(listeners.filter(|listener| listener.serves(address.ip)), time_ns)
    }

    /// The same of a socket that is bound to this address alone, where it is not known that its namespace has it.
    pub fn bound_to(&self, node: &str, address: &Address, time_ns: u64) -> Option<&Entity> {
        let listeners = self.listeners_of(node, address);
        last_of(listeners.filter(|listener| listener.ip == address.ip), time_ns)
    }

    /// Who of those that are `wanted` listened at `address` of `node`, whose network namespace the caller does not know.
    pub fn of_node(
        &self,
        node: &str,
        address: &Address,
        time_ns: u64,
        is_wanted: impl Fn(u32, &Entity) -> bool,
    ) -> Option<&Entity> {
        let all = self
            .by_port
            .range((node.to_owned(), 0, 0)..=(node.to_owned(), u32::MAX, u16::MAX));
        let here =
            all.filter(|((_, _, port), _)| *port == address.port)
                .flat_map(|((_, net_ns, _), listeners)| {
                    listeners.iter().map(move |listener| (*net_ns, listener))
                });
        let wanted = here
            .filter(|(net_ns, listener)| listener.serves(address.ip) && is_wanted(*net_ns, &listener.owner));
        last_of(wanted.map(|(_, listener)| listener), time_ns)
    }

    fn listeners_of(&self, node: &str, address: &Address) -> impl Iterator<Item = &Listener> {
        let key = (node.to_owned(), address.net_ns, address.port);
        self.by_port.get(&key).into_iter().flatten()
    }

    fn forget(&mut self, time_ns: u64) {
        self.by_port.retain(|_, listeners| {
            listeners.retain(|listener| listener.is_remembered(time_ns));
            !listeners.is_empty()
        });
        if self.by_port.len() >= MOST_LISTENERS {
            self.by_port.pop_first();
        }
    }
}

/// Who of them listened at `time_ns`, else who did last before. A socket of one address comes before the wildcard of its port.
fn last_of<'a>(listeners: impl Iterator<Item = &'a Listener>, time_ns: u64) -> Option<&'a Entity> {
    let begun = listeners.filter(|listener| listener.since_ns <= time_ns);
    begun
        .max_by_key(|listener| {
            let last_ns = listener.until_ns.unwrap_or(u64::MAX).min(time_ns);
            (last_ns, !listener.ip.is_unspecified(), listener.since_ns)
        })
        .map(|listener| &listener.owner)
}

impl Listener {
    /// A wildcard socket serves every address of its namespace.
    fn serves(&self, ip: IpAddr) -> bool {
        self.ip == ip || self.ip.is_unspecified()
    }

    fn is_remembered(&self, time_ns: u64) -> bool {
        self.until_ns
            .is_none_or(|until_ns| time_ns < until_ns + REMEMBER_NS)
    }
}

/// What outlives the process: a service keeps its name when it restarts.
fn lasting(owner: &Entity) -> Entity {
    Entity {
        process: None,
        address: None,
        ..owner.clone()
    }
}

mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Key, Listener};

    type Map = BTreeMap<Key, Vec<Listener>>;

    pub(super) fn serialize<S: Serializer>(map: &Map, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bus_schema::entity::Workload;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn service(name: &str) -> Entity {
        Entity::of_workload(Workload {
            kind: "Cgroup".into(),
            namespace: "host".into(),
            name: name.into(),
        })
    }

    fn address(ip: [u8; 4], port: u16, net_ns: u32) -> Address {
        Address {
            ip: IpAddr::V4(Ipv4Addr::from(ip)),
            port,
            net_ns,
        }
    }

    #[test]
    fn a_refused_connection_finds_whoever_listened_before() {
        let mut listeners = Listeners::default();
        let port = address([127, 0, 0, 1], 6379, 7);
        listeners.opened("n", &port, &service("cache"), 10 * SECOND);
        listeners.closed("n", &port, &service("cache"), 20 * SECOND);
        assert_eq!(listeners.at("n", &port, 25 * SECOND), Some(&service("cache")));
        assert_eq!(listeners.at("n", &port, 5 * SECOND), None, "before it listened");
        assert_eq!(listeners.at("other", &port, 25 * SECOND), None, "another node");
        assert_eq!(
            listeners.at("n", &address([127, 0, 0, 1], 6379, 8), 25 * SECOND),
            None,
            "another namespace"
        );
    }

    #[test]
    fn a_wildcard_serves_what_its_namespace_has_and_a_socket_of_one_address_comes_first() {
        let mut listeners = Listeners::default();
        let any = address([0, 0, 0, 0], 80, 7);
        let one = address([10, 0, 0, 7], 80, 7);
        listeners.opened("n", &one, &service("one"), 10 * SECOND);
        listeners.opened("n", &any, &service("any"), 10 * SECOND);
        let other = address([10, 0, 0, 8], 80, 7);
        assert_eq!(listeners.at("n", &one, 15 * SECOND), Some(&service("one")));
        assert_eq!(listeners.at("n", &other, 15 * SECOND), Some(&service("any")));
        assert_eq!(listeners.bound_to("n", &one, 15 * SECOND), Some(&service("one")));
        assert_eq!(
            listeners.bound_to("n", &other, 15 * SECOND),
            None,
            "it may be elsewhere"
        );
    }

    #[test]
    fn a_port_that_changed_hands_belongs_to_who_had_it_then() {
        let mut listeners = Listeners::default();
        let any = address([0, 0, 0, 0], 80, 7);
        let asked = address([127, 0, 0, 1], 80, 7);
        listeners.opened("n", &any, &service("old"), 10 * SECOND);
        listeners.closed("n", &any, &service("old"), 20 * SECOND);
        listeners.opened("n", &any, &service("new"), 30 * SECOND);
        assert_eq!(listeners.at("n", &asked, 15 * SECOND), Some(&service("old")));
        assert_eq!(listeners.at("n", &asked, 25 * SECOND), Some(&service("old")));
        assert_eq!(listeners.at("n", &asked, 35 * SECOND), Some(&service("new")));
    }

    #[test]
    fn memory_is_bounded() {
        let mut listeners = Listeners::default();
        for number in 0..=u32::try_from(MOST_LISTENERS).unwrap() {
            listeners.opened(
                "n",
                &address([0, 0, 0, 0], 80, number),
                &service("x"),
                u64::from(number),
            );
        }
        assert!(listeners.by_port.len() <= MOST_LISTENERS);
    }
}
