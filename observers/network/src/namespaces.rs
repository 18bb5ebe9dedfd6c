//! Which addresses the network namespaces of this node hold, from `/proc`: one process of each is asked.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bus_schema::event::Body;
use bus_schema::event::network::{NetworkNamespace, REPEATED_SECONDS};
use bus_schema::{Entity, Severity};
use observer_base::{Context, Draft};
use procfs::process::Process;

/// Namespaces are looked at this often.
const LOOK_SECONDS: u64 = 10;

/// The namespace that a process is in.
pub fn of_process(pid: i32) -> Option<u32> {
    let inode = fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino();
    u32::try_from(inode).ok()
}

/// All processes, by the namespace that they are in.
pub fn members() -> BTreeMap<u32, Vec<Process>> {
    let mut members: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        if let Some(namespace) = of_process(process.pid) {
            members.entry(namespace).or_default().push(process);
        }
    }
    members
}

/// What was told of the namespaces of this node.
#[derive(Debug, Default)]
pub struct Namespaces {
    told: BTreeMap<u32, NetworkNamespace>,
    /// A process of each.
    entrances: BTreeMap<u32, i32>,
    /// Those that no process was in when it was last looked: nothing is looked for again and again.
    unknown: BTreeSet<u32>,
}

impl Namespaces {
    /// What is news, in the order in which it became so; everything where it is due to be repeated.
    pub fn second(&mut self, seconds: u64) -> Vec<NetworkNamespace> {
        if !seconds.is_multiple_of(LOOK_SECONDS) {
            return Vec::new();
        }
        let mut news = self.look();
        if seconds.is_multiple_of(REPEATED_SECONDS) {
            news.retain(|told| told.addresses.is_empty());
            news.extend(self.told.values().cloned());
        }
        news
    }

    /// What is news, when somebody acts in this namespace.
    pub fn seen(&mut self, net_ns: u32) -> Vec<NetworkNamespace> {
        if net_ns == 0 || self.told.contains_key(&net_ns) || self.unknown.contains(&net_ns) {
            return Vec::new();
        }
        let news = self.look();
        if !self.told.contains_key(&net_ns) {
            self.unknown.insert(net_ns);
        }
        news
    }

    /// Each with the pid of a process that was in it when they were last looked at.
    pub fn entrances(&self) -> &BTreeMap<u32, i32> {
        &self.entrances
    }

    /// The only namespace that holds an address.
    pub fn holder(&self, ip: IpAddr) -> Option<u32> {
        let mut holders = self.told.iter().filter(|(_, told)| told.addresses.contains(&ip));
        let (holder, _) = holders.next()?;
        holders.next().is_none().then_some(*holder)
    }

    /// Looks at all; what is gone comes first, for another may have its addresses.
    fn look(&mut self) -> Vec<NetworkNamespace> {
        let read = |(net_ns, processes): (u32, Vec<Process>)| {
            processes.iter().find_map(|process| {
                let told = read(&Path::new("/proc").join(process.pid.to_string()), net_ns)?;
                // it may have entered another meanwhile, or be another process
                let is_there = of_process(process.pid) == Some(net_ns);
                is_there.then_some((net_ns, process.pid, told))
            })
        };
        let now: Vec<_> = members().into_iter().filter_map(read).collect();
        self.entrances = now.iter().map(|(net_ns, pid, _)| (*net_ns, *pid)).collect();
        let now = now.into_iter().map(|(net_ns, _, told)| (net_ns, told)).collect();
        let before = std::mem::replace(&mut self.told, now);
        self.unknown.clear();
        news(&before, &self.told)
    }
}

fn news(
    before: &BTreeMap<u32, NetworkNamespace>,
    now: &BTreeMap<u32, NetworkNamespace>,
) -> Vec<NetworkNamespace> {
    let gone = before.keys().filter(|net_ns| !now.contains_key(net_ns));
    let gone = gone.map(|net_ns| NetworkNamespace {
        net_ns: *net_ns,
        ..NetworkNamespace::default()
    });
    let changed = now
        .iter()
        .filter(|(net_ns, told)| before.get(net_ns) != Some(told));
    gone.chain(changed.map(|(_, told)| told.clone())).collect()
}

/// What the namespace of the process holds whose folder below `/proc` it is.
fn read(process: &Path, net_ns: u32) -> Option<NetworkNamespace> {
    let table = |name| fs::read_to_string(process.join("net").join(name));
    // A kernel without IPv6 has no tables of it.
    let or_none = |name| table(name).unwrap_or_default();
    let mut told = tables::Tables {
        local: &table("fib_trie").ok()?,
        routes: &table("route").ok()?,
        local_v6: &or_none("if_inet6"),
        routes_v6: &or_none("ipv6_route"),
    }
    .read();
    told.net_ns = net_ns;
    Some(told)
}

/// As an event.
pub fn draft(told: NetworkNamespace, context: &Context) -> Draft {
    let node = Entity::of_node(&context.node);
    let body = Body::NetworkNamespace(told);
    Draft::new(context.clock.now_ns(), Severity::Info, node, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(net_ns: u32, addresses: &[[u8; 4]]) -> (u32, NetworkNamespace) {
        let addresses = addresses.iter().map(|octets| (*octets).into()).collect();
        let told = NetworkNamespace {
            net_ns,
            addresses,
            ..NetworkNamespace::default()
        };
        (net_ns, told)
    }

    #[test]
    fn what_changed_is_news_and_what_is_gone_is_the_first_of_it() {
        let before = [
            told(1, &[[10, 0, 0, 1]]),
            told(2, &[[10, 0, 0, 2]]),
            told(3, &[[10, 0, 0, 3]]),
        ];
        let now = [
            told(1, &[[10, 0, 0, 1]]),
            told(2, &[[10, 0, 0, 9]]),
            told(4, &[[10, 0, 0, 3]]),
        ];
        let news = news(&before.into(), &now.into());
        let ids: Vec<_> = news
            .iter()
            .map(|told| (told.net_ns, told.addresses.len()))
            .collect();
        assert_eq!(ids, [(3, 0), (2, 1), (4, 1)]);
    }

    #[test]
    fn the_own_namespace_is_found_once_and_told_again_when_it_is_due() {
        let own = of_process(i32::try_from(std::process::id()).unwrap()).unwrap();
        let mut namespaces = Namespaces::default();
        let has_own = |news: &[NetworkNamespace]| news.iter().any(|told| told.net_ns == own);
        assert!(!has_own(&namespaces.second(1)), "it is not time to look");
        namespaces.seen(own);
        assert!(namespaces.told.contains_key(&own));
        assert!(!has_own(&namespaces.seen(own)));
        assert!(has_own(&namespaces.second(REPEATED_SECONDS)));
        assert_eq!(namespaces.seen(0), [], "nobody knows which");
    }
}
