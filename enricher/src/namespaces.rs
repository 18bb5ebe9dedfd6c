//! Which network namespace of a node answers at an address, learned from the observers. An address means what it meant then, and
//! the dead are remembered: a call that fails asks for whoever answered before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bus_schema::event::network::{NetworkNamespace, REPEATED_SECONDS};
use serde::{Deserialize, Serialize};

const SECOND_NS: u64 = 1_000_000_000;
/// A namespace that was not told again for this long is gone: who told it last was stopped, or the node was.
const STALE_NS: u64 = 3 * REPEATED_SECONDS * SECOND_NS;
/// One that is gone is remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * SECOND_NS;
/// What is told for the first time has been so for up to this long.
const TOLD_LATE_NS: u64 = 10 * SECOND_NS;
/// Most namespaces of one partition.
const MOST_NAMESPACES: usize = 20_000;
/// Most addresses of one namespace, with those that it had before.
const MOST_ADDRESSES: usize = 1_000;

/// The network namespaces of all nodes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Namespaces {
    nodes: BTreeMap<String, BTreeMap<u32, Namespace>>,
}

/// One of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Namespace {
    /// As it was told last, without its addresses.
    now: NetworkNamespace,
    told_ns: u64,
    held: BTreeMap<IpAddr, Tenure>,
}

/// From when to when an address was held; `None` while it is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Tenure {
    since_ns: u64,
    until_ns: Option<u64>,
}

impl Namespaces {
    /// What a namespace of `node` holds from `time_ns` on.
    pub fn told(&mut self, node: &str, told: &NetworkNamespace, time_ns: u64) {
        let is_known = self
            .nodes
            .get(node)
            .is_some_and(|namespaces| namespaces.contains_key(&told.net_ns));
        if !is_known && self.count() >= MOST_NAMESPACES {
            self.forget(time_ns);
        }
        let namespaces = self.nodes.entry(node.to_owned()).or_default();
        namespaces
            .entry(told.net_ns)
            .or_default()
            .become_as(told, time_ns);
    }

    /// The namespace of `node` in which a call to `ip` from within `caller` arrives; `None` where that is not certain.
    pub fn answering(&self, node: &str, caller: u32, ip: IpAddr, time_ns: u64) -> Option<u32> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(caller);
        }
        let namespaces = self.nodes.get(node)?;
        let own = namespaces.get(&caller)?;
        if own.holds(ip, time_ns) {
            return Some(caller);
        }
        if own.now.partial {
            return None;
        }
        let reach = Reach {
            namespaces,
            caller,
            own,
            time_ns,
        };
        let others = || namespaces.iter().filter(|(net_ns, _)| **net_ns != caller);
        let mut at = others().filter(|(_, other)| other.holds(ip, time_ns));
        match (at.next(), at.next()) {
            (None, _) => {
                let before = others().filter(|(_, other)| reach.is_possible(other, ip));
                let last =
                    before.filter_map(|(net_ns, other)| Some((other.held_before(ip, time_ns)?, *net_ns)));
                last.max().map(|(_, net_ns)| net_ns)
            }
            (Some(first), second) => {
                let all = [Some(first), second].into_iter().flatten().chain(at);
                let mut reached = all.filter(|(_, other)| reach.is_possible(other, ip));
                let (net_ns, _) = reached.next()?;
                reached.next().is_none().then_some(*net_ns)
            }
        }
    }

    /// The namespaces of `node` that hold `ip`; `None` where no namespace of the node is known.
    pub fn holding(&self, node: &str, ip: IpAddr, time_ns: u64) -> Option<Vec<u32>> {
        let namespaces = self.nodes.get(node)?.iter();
        let holding = namespaces.filter(|(_, namespace)| namespace.holds(ip, time_ns));
        Some(holding.map(|(net_ns, _)| *net_ns).collect())
    }

    fn count(&self) -> usize {
        self.nodes.values().map(BTreeMap::len).sum()
    }

    fn forget(&mut self, time_ns: u64) {
        for namespaces in self.nodes.values_mut() {
            namespaces.retain(|_, namespace| time_ns < namespace.told_ns + STALE_NS + REMEMBER_NS);
        }
        self.nodes.retain(|_, namespaces| !namespaces.is_empty());
        if self.count() >= MOST_NAMESPACES {
            self.nodes.pop_first();
        }
    }
}

impl Namespace {
    fn become_as(&mut self, told: &NetworkNamespace, time_ns: u64) {
        for (ip, tenure) in &mut self.held {
            if tenure.until_ns.is_none() && !told.addresses.contains(ip) {
                tenure.until_ns = Some(time_ns);
            }
        }
        self.held.retain(|_, tenure| {
            tenure
                .until_ns
                .is_none_or(|until_ns| time_ns < until_ns + REMEMBER_NS)
        });
        for ip in &told.addresses {
            let is_held = self.held.get(ip).is_some_and(|tenure| tenure.until_ns.is_none());
            if !is_held && self.held.len() < MOST_ADDRESSES {
                let tenure = Tenure {
                    since_ns: time_ns,
                    until_ns: None,
                };
                self.held.insert(*ip, tenure);
            }
        }
        self.told_ns = time_ns;
        if told.addresses.is_empty() {
            // gone: how it was reached is still asked for
            return;
        }
        self.now = NetworkNamespace {
            addresses: Vec::new(),
            ..told.clone()
        };
    }

    /// When it ceased or will cease to hold an address, unless it is told again.
    fn end_ns(&self, tenure: &Tenure) -> u64 {
        tenure.until_ns.unwrap_or(self.told_ns + STALE_NS)
    }

    fn holds(&self, ip: IpAddr, time_ns: u64) -> bool {
        self.held
            .get(&ip)
            .is_some_and(|tenure| tenure.since_ns <= time_ns + TOLD_LATE_NS && time_ns < self.end_ns(tenure))
    }

    /// Until when it held an address before `time_ns`.
    fn held_before(&self, ip: IpAddr, time_ns: u64) -> Option<u64> {
        let end_ns = self.end_ns(self.held.get(&ip)?);
        (end_ns <= time_ns && time_ns < end_ns + REMEMBER_NS).then_some(end_ns)
    }
}

/// Which namespaces a caller reaches. Private networks have the same addresses everywhere: one that is held nearby, but to where no
/// way of this node is known to lead, is somebody else's.
struct Reach<'a> {
    namespaces: &'a BTreeMap<u32, Namespace>,
    caller: u32,
    own: &'a Namespace,
    time_ns: u64,
}

impl Reach<'_> {
    /// They are on one link, or one is the router of the other, or both have the same.
    fn is_possible(&self, other: &Namespace, ip: IpAddr) -> bool {
        let is_on_own_link = self.own.now.links.iter().any(|link| link.contains(ip));
        let shares_link = || {
            let links = other.now.links.iter().filter(|link| link.contains(ip));
            let own = self
                .own
                .held
                .iter()
                .filter(|(_, tenure)| tenure.until_ns.is_none());
            links
                .into_iter()
                .any(|link| own.clone().any(|(ip, _)| link.contains(*ip)))
        };
        is_on_own_link && shares_link()
            || !self
                .routed(self.caller, self.own)
                .is_disjoint(&self.routed(other.now.net_ns, other))
    }

    /// A namespace, and those that are its routers.
    fn routed(&self, net_ns: u32, namespace: &Namespace) -> BTreeSet<u32> {
        let routers = &namespace.now.routers;
        let is_router = |other: &Namespace| routers.iter().any(|ip| other.holds(*ip, self.time_ns));
        let above = self.namespaces.iter().filter(|(_, other)| is_router(other));
        above.map(|(net_ns, _)| *net_ns).chain([net_ns]).collect()
    }
}

#[cfg(test)]
mod tests;
