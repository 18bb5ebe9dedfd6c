//! The kernel's tables of one network namespace, as `/proc/<pid>/net` shows them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bus_schema::event::network::{Network, NetworkNamespace};

/// Most addresses of one namespace that are told, most links and most routers: an event has to fit into a message.
const MOST_ADDRESSES: usize = 512;
const MOST_LINKS: usize = 128;
const MOST_ROUTERS: usize = 16;

/// A route that is in use.
const UP: u32 = 0x1;
/// A route by a router.
const GATEWAY: u32 = 0x2;
/// A route that leads nowhere.
const REJECT: u32 = 0x200;

/// The text of each.
pub(super) struct Tables<'a> {
    /// `fib_trie`.
    pub(super) local: &'a str,
    /// `route`.
    pub(super) routes: &'a str,
    /// `if_inet6`.
    pub(super) local_v6: &'a str,
    /// `ipv6_route`.
    pub(super) routes_v6: &'a str,
}

impl Tables<'_> {
    /// What they say, in order.
    pub(super) fn read(&self) -> NetworkNamespace {
        let v4 = local_v4(self.local).map(IpAddr::V4);
        let v6 = self.local_v6.lines().filter_map(local_v6).map(IpAddr::V6);
        let addresses: BTreeSet<IpAddr> = v4.chain(v6).filter(|ip| !ip.is_loopback()).collect();
        let routes = self.routes.lines().filter_map(route_v4);
        let routes = routes.chain(self.routes_v6.lines().filter_map(route_v6));
        let (mut links, mut gateways) = (BTreeSet::new(), BTreeSet::new());
        for (network, gateway) in routes {
            match gateway {
                None if network.prefix > 0 => drop(links.insert(network)),
                Some(gateway) if network.prefix == 0 => drop(gateways.insert(gateway)),
                None | Some(_) => {}
            }
        }
        let partial = addresses.len() > MOST_ADDRESSES;
        NetworkNamespace {
            net_ns: 0,
            addresses: addresses.into_iter().take(MOST_ADDRESSES).collect(),
            links: links.into_iter().take(MOST_LINKS).collect(),
            routers: gateways.into_iter().take(MOST_ROUTERS).collect(),
            partial,
        }
    }
}

/// A leaf of the tree (`|-- 10.0.0.7`) is followed by what it leads to (`/32 host LOCAL`).
fn local_v4(fib_trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut leaf = None;
    fib_trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
            return None;
        }
        leaf.filter(|_| line == "/32 host LOCAL")
    })
}

/// `address index prefix scope flags name`.
fn local_v6(line: &str) -> Option<Ipv6Addr> {
    hex_v6(line.split_whitespace().next()?)
}

/// `name destination gateway flags … mask …`.
fn route_v4(line: &str) -> Option<(Network, Option<IpAddr>)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, destination, gateway, flags, _, _, _, mask, ..] = fields.as_slice() else {
        return None;
    };
    let mask = u32::from_str_radix(mask, 16).ok()?;
    let network = Network {
        ip: hex_v4(destination)?.into(),
        prefix: u8::try_from(mask.count_ones()).ok()?,
    };
    let router = router(u32::from_str_radix(flags, 16).ok()?)?;
    Some((network, router.then_some(hex_v4(gateway)?.into())))
}

/// `destination prefix source prefix gateway metric references uses flags name`.
fn route_v6(line: &str) -> Option<(Network, Option<IpAddr>)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [destination, prefix, _, _, gateway, _, _, _, flags, name] = fields.as_slice() else {
        return None;
    };
    let network = Network {
        ip: hex_v6(destination)?.into(),
        prefix: u8::from_str_radix(prefix, 16).ok()?,
    };
    let router = router(u32::from_str_radix(flags, 16).ok()?)?;
    // The own addresses are among the routes, as what is reached through the loopback.
    (*name != "lo").then_some((network, router.then_some(hex_v6(gateway)?.into())))
}

/// Whether a route goes by a router; `None` where it goes nowhere.
fn router(flags: u32) -> Option<bool> {
    (flags & UP != 0 && flags & REJECT == 0).then_some(flags & GATEWAY != 0)
}

/// The kernel prints an address of IPv4 as the number that it is in memory.
fn hex_v4(text: &str) -> Option<Ipv4Addr> {
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

fn hex_v6(text: &str) -> Option<Ipv6Addr> {
    (text.len() == 32).then_some(())?;
    u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIB_TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 172.17.0.0/16 2 0 2
           |-- 172.17.0.0
              /16 link UNICAST
           |-- 172.17.0.2
              /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
Local:
           |-- 172.17.0.2
              /32 host LOCAL
";
    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
";
    const IF_INET6: &str = "\
fd000000000000000000000000000002 04 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
";
    const ROUTES_V6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn addresses_links_and_routers_of_both_families_are_read() {
        let read = Tables {
            local: FIB_TRIE,
            routes: ROUTES,
            local_v6: IF_INET6,
            routes_v6: ROUTES_V6,
        }
        .read();
        let ips = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>();
        let links = read
            .links
            .iter()
            .map(|link| format!("{}/{}", link.ip, link.prefix));
        assert_eq!(ips(&read.addresses), ["172.17.0.2", "fd00::2"]);
        assert_eq!(links.collect::<Vec<_>>(), ["172.17.0.0/16", "fd00::/64"]);
        assert_eq!(ips(&read.routers), ["172.17.0.1", "fd00::1"]);
        assert!(!read.partial);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let leaf = |number: usize| format!("|-- 10.9.{}.{}\n/32 host LOCAL\n", number / 256, number % 256);
        let local: String = (0..=MOST_ADDRESSES).map(leaf).collect();
        let read = Tables {
            local: &local,
            routes: "",
            local_v6: "garbage\n",
            routes_v6: "garbage\n",
        }
        .read();
        assert_eq!(read.addresses.len(), MOST_ADDRESSES);
        assert!(read.partial);
    }
}
