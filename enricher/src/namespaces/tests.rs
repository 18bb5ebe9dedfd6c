//! A host with bridges: who is where, and what stays unknown.

use bus_schema::event::network::Network;

use super::*;

const HOST: u32 = 1;
const WEB: u32 = 2;
const CACHE: u32 = 3;
const ROOTLESS: u32 = 4;

fn told(net_ns: u32, addresses: &[&str], links: &[(&str, u8)], routers: &[&str]) -> NetworkNamespace {
    let ip = |text: &&str| text.parse().unwrap();
    let network = |(ip, prefix): &(&str, u8)| Network {
        ip: ip.parse().unwrap(),
        prefix: *prefix,
    };
    NetworkNamespace {
        net_ns,
        addresses: addresses.iter().map(ip).collect(),
        links: links.iter().map(network).collect(),
        routers: routers.iter().map(ip).collect(),
        partial: false,
    }
}

/// A host with an address of its own, two containers on two bridges, and one that only a user's own router reaches.
fn host() -> Namespaces {
    let mut namespaces = Namespaces::default();
    let lan = ("192.168.1.0", 24);
    for told in [
        told(
            HOST,
            &["192.168.1.5", "172.17.0.1", "172.18.0.1"],
            &[lan, ("172.17.0.0", 16), ("172.18.0.0", 16)],
            &["192.168.1.1"],
        ),
        told(WEB, &["172.17.0.2"], &[("172.17.0.0", 16)], &["172.17.0.1"]),
        told(CACHE, &["172.18.0.2"], &[("172.18.0.0", 16)], &["172.18.0.1"]),
        told(ROOTLESS, &["10.0.2.100"], &[("10.0.2.0", 24)], &["10.0.2.2"]),
    ] {
        namespaces.told("n", &told, 10 * SECOND_NS);
    }
    namespaces
}

fn at(namespaces: &Namespaces, caller: u32, ip: &str, second: u64) -> Option<u32> {
    namespaces.answering("n", caller, ip.parse().unwrap(), second * SECOND_NS)
}

#[test]
fn a_host_reaches_its_bridges_and_containers_reach_each_other_and_their_host() {
    let namespaces = host();
    assert_eq!(at(&namespaces, HOST, "192.168.1.5", 20), Some(HOST), "its own");
    assert_eq!(at(&namespaces, HOST, "172.17.0.2", 20), Some(WEB));
    assert_eq!(
        at(&namespaces, WEB, "172.18.0.2", 20),
        Some(CACHE),
        "by their router"
    );
    assert_eq!(at(&namespaces, WEB, "192.168.1.5", 20), Some(HOST));
    assert_eq!(at(&namespaces, WEB, "127.0.0.1", 20), Some(WEB));
    assert_eq!(at(&namespaces, HOST, "::1", 20), Some(HOST));
}

#[test]
fn an_address_that_nobody_here_holds_or_that_no_way_leads_to_is_somebody_elses() {
    let namespaces = host();
    assert_eq!(at(&namespaces, HOST, "192.168.1.6", 20), None, "another machine");
    assert_eq!(
        at(&namespaces, HOST, "10.0.2.100", 20),
        None,
        "of a user's own network, and of many others in the world"
    );
    assert_eq!(at(&namespaces, ROOTLESS, "172.17.0.2", 20), None);
    assert_eq!(
        namespaces.answering("m", HOST, "172.17.0.2".parse().unwrap(), 20),
        None,
        "another node"
    );
    assert_eq!(
        at(&namespaces, 9, "172.17.0.2", 20),
        None,
        "a caller of whom nothing is known"
    );
    assert_eq!(at(&namespaces, 9, "127.0.0.1", 20), Some(9));
}

#[test]
fn an_address_that_two_hold_is_nobodys() {
    let mut namespaces = host();
    let twin = told(9, &["172.17.0.2"], &[("172.17.0.0", 16)], &["172.17.0.1"]);
    namespaces.told("n", &twin, 11 * SECOND_NS);
    assert_eq!(at(&namespaces, HOST, "172.17.0.2", 20), None);
    let far = told(9, &["172.17.0.2"], &[("172.17.0.0", 17)], &["172.17.200.1"]);
    let mut namespaces = host();
    namespaces.told("n", &far, 11 * SECOND_NS);
    assert_eq!(
        at(&namespaces, WEB, "172.17.0.2", 20),
        Some(WEB),
        "its own before all"
    );
}

#[test]
fn what_answered_before_is_asked_for_until_another_does() {
    let mut namespaces = host();
    namespaces.told("n", &told(WEB, &[], &[], &[]), 30 * SECOND_NS);
    assert_eq!(at(&namespaces, HOST, "172.17.0.2", 40), Some(WEB));
    let next = told(9, &["172.17.0.2"], &[("172.17.0.0", 16)], &["172.17.0.1"]);
    namespaces.told("n", &next, 60 * SECOND_NS);
    assert_eq!(at(&namespaces, HOST, "172.17.0.2", 61), Some(9));
    assert_eq!(at(&namespaces, HOST, "172.17.0.2", 20), Some(WEB), "then");
    assert_eq!(
        at(&namespaces, HOST, "172.17.0.2", 55),
        Some(9),
        "it is told a little later than it is so"
    );
}

#[test]
fn what_is_not_told_again_is_gone_and_what_is_told_in_part_is_not_relied_upon() {
    let mut namespaces = host();
    let late = 10 + STALE_NS / SECOND_NS;
    let alive = told(HOST, &["172.17.0.1"], &[("172.17.0.0", 16)], &[]);
    namespaces.told("n", &alive, (late - 1) * SECOND_NS);
    let next = told(9, &["172.17.0.2"], &[("172.17.0.0", 16)], &["172.17.0.1"]);
    namespaces.told("n", &next, (late - 1) * SECOND_NS);
    assert_eq!(
        at(&namespaces, HOST, "172.17.0.2", late + 1),
        Some(9),
        "after a reboot"
    );
    let partial = NetworkNamespace {
        partial: true,
        ..alive
    };
    namespaces.told("n", &partial, late * SECOND_NS);
    assert_eq!(
        at(&namespaces, HOST, "172.17.0.2", late + 1),
        None,
        "it may be its own"
    );
    assert_eq!(at(&namespaces, HOST, "172.17.0.1", late + 1), Some(HOST));
}

#[test]
fn state_survives_a_restart() {
    let bytes = rmp_serde::to_vec_named(&host()).unwrap();
    let read: Namespaces = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(at(&read, HOST, "172.17.0.2", 20), Some(WEB));
}

#[test]
fn memory_is_bounded() {
    let mut namespaces = Namespaces::default();
    for number in 0..=u32::try_from(MOST_NAMESPACES).unwrap() {
        let node = format!("n{}", number % 7);
        namespaces.told(&node, &told(number, &["10.0.0.1"], &[], &[]), u64::from(number));
    }
    assert!(namespaces.count() <= MOST_NAMESPACES);
    let many: Vec<String> = (0..2 * MOST_ADDRESSES)
        .map(|number| format!("10.0.{}.{}", number / 256, number % 256))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    namespaces.told("m", &told(1, &many, &[], &[]), 1);
    assert!(namespaces.nodes["m"][&1].held.len() <= MOST_ADDRESSES);
}
