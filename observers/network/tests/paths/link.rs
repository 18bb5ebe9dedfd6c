//! Packets that are dropped between two ends for real, each with the reason, and nothing of traffic that is well.

use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;

use bus_schema::event::network::{DropReason, PacketsDropped};
use bus_schema::event::{Body, Event};
use observer_network::Network;

use crate::neighbour::Neighbour;
use crate::told::Told;
use crate::{inside, packets_filtered, python, run, start};

const OBSERVER: &str = "link";
/// Connects and says how that went, with a second of patience.
const CONNECT: &str = "import socket,sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])); print('connected')
except OSError as error: print(error)";

/// Has so many connections with itself until its input ends.
const FILL: &str = "import socket,sys
listener = socket.create_server(('127.0.0.1', 0), backlog=4096)
ends = [(socket.create_connection(listener.getsockname()), listener.accept()) for _ in range(int(sys.argv[1]))]
print('full', flush=True)
sys.stdin.read()";

fn connect_from(end: &Neighbour, to: &str, port: u16, patience: &str) -> String {
    let command = python(&[CONNECT, to, &port.to_string(), patience]);
    run(&inside(end, &command))
}

/// Adds a link behind an end, which takes packets of 1300 bytes; gives an address there that nobody has.
fn small_link_behind(end: &Neighbour) -> String {
    let network = end.ip().replace("198.18", "198.19");
    let network = network.trim_end_matches(char::is_numeric);
    let script = format!(
        "ip link add behind mtu 1300 type veth peer name beyond; ip link set beyond up; ip addr add {network}1/24 dev behind
        ip link set behind up; echo 1 >/proc/sys/net/ipv4/ip_forward"
    );
    run(&end.inside(&["sh", "-ec", &script]));
    let route = ["ip", "route", "add", &format!("{network}0/24"), "via", &end.ip()];
    run(&route.map(ToOwned::to_owned));
    format!("{network}7")
}

/// What was dropped on the way to this address.
fn dropped<'a>(event: &'a Event, to: &str) -> Option<&'a PacketsDropped> {
    let Body::PacketsDropped(dropped) = &event.body else {
        return None;
    };
    let address = event.object.as_ref()?.address.as_ref()?;
    (address.ip == to.parse::<IpAddr>().unwrap()).then_some(dropped)
}

fn counted(events: &[Event], to: &str) -> u64 {
    let own = events.iter().filter(|event| dropped(event, to).is_some());
    own.map(|event| event.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn what_a_filter_drops_is_told_with_both_ends_as_often_as_the_filter_says() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let end = Neighbour::new();
    let listener = TcpListener::bind((end.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(connect_from(&end, &end.host(), port, "5"), "connected\n");
    end.treats("filter", &format!("tcp dport {port} counter drop"));
    assert_eq!(connect_from(&end, &end.host(), port, "1.5"), "timed out\n");
    let said = packets_filtered(&end);
    assert!(said >= 2, "{said}");
    let mut count = 0;
    let events = told
        .until(|event| {
            count += dropped(event, &end.host()).map_or(0, |_| event.count);
            count >= said
        })
        .await;
    assert_eq!(
        counted(&events, &end.host()),
        said,
        "and none of the good connection"
    );
    let first = events
        .iter()
        .find(|event| dropped(event, &end.host()).is_some())
        .unwrap();
    assert_eq!(
        dropped(first, &end.host()).unwrap(),
        &PacketsDropped {
            reason: DropReason::Filter,
            answers: false,
            protocol: 6
        }
    );
    assert_eq!(
        first.object.as_ref().unwrap().address.as_ref().unwrap().port,
        port
    );
}

/// How many connections the kernel tracks in this namespace.
fn tracked() -> u64 {
    let table = fs::read_to_string("/proc/net/stat/nf_conntrack").unwrap_or_default();
    let entries = table.lines().nth(1).and_then(|line| line.split(' ').next());
    entries.map_or(0, |entries| u64::from_str_radix(entries, 16).unwrap())
}

/// The bound of all tables of tracked connections, which is as it was when this is dropped.
struct Bound(String);

impl Bound {
    const AT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

    fn set(most: u64) -> Self {
        let before = fs::read_to_string(Self::AT).unwrap();
        fs::write(Self::AT, most.to_string()).unwrap();
        Self(before)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = fs::write(Self::AT, &self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn where_the_table_of_tracked_connections_is_full_that_is_the_reason_and_no_filter() {
    const MOST: u64 = 400;
    if !Path::new(Bound::AT).exists() || tracked() > MOST / 2 {
        return println!("SKIP: this host tracks no connections, or too many of its own");
    }
    let end = Neighbour::new();
    end.treats("filter", "ct state new counter accept");
    let mut fills = start(&inside(&end, &python(&[FILL, &MOST.to_string()])));
    assert_eq!(fills.line(), "full");
    let mut told = Told::by::<Network>(OBSERVER).await;
    let listener = TcpListener::bind((end.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let bound = Bound::set(MOST);
    assert_eq!(connect_from(&end, &end.host(), port, "1.5"), "timed out\n");
    let is_dropped = |event: &Event| dropped(event, &end.host()).is_some();
    let events = told.until(is_dropped).await;
    let mut reasons = events.iter().filter_map(|event| dropped(event, &end.host()));
    let is_of_table = |dropped: &PacketsDropped| dropped.reason == DropReason::Conntrack;
    assert!(reasons.all(is_of_table), "{events:?}");
    drop(bound);
    assert_eq!(connect_from(&end, &end.host(), port, "5"), "connected\n");
    fills.rest();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn an_address_that_nobody_has_and_a_link_that_is_too_small_are_told_apart() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let end = Neighbour::new();
    let nobody = format!("{}77", end.host().trim_end_matches(char::is_numeric));
    assert!(connect_from(&end, &nobody, 80, "10").contains("No route to host"));
    let neighbour = told.until(|event| dropped(event, &nobody).is_some()).await;
    let of = |events: &[Event], to: &str| {
        events
            .iter()
            .rev()
            .find_map(|event| dropped(event, to))
            .unwrap()
            .reason
    };
    assert_eq!(of(&neighbour, &nobody), DropReason::Neighbour);

    let behind = small_link_behind(&end);
    let socket = UdpSocket::bind((end.host(), 0)).unwrap();
    rustix::net::sockopt::set_ip_mtu_discover(&socket, rustix::net::sockopt::Ipv4PathMtuDiscovery::PROBE)
        .unwrap();
    socket.send_to(&[0; 1200], (behind.as_str(), 9)).unwrap();
    socket.send_to(&[0; 1400], (behind.as_str(), 9)).unwrap();
    let is_too_big =
        |event: &Event| dropped(event, &behind).is_some_and(|dropped| dropped.reason == DropReason::TooBig);
    let events = told.until(is_too_big).await;
    let large: Vec<_> = events.iter().filter(|event| is_too_big(event)).collect();
    assert_eq!(large.iter().map(|event| event.count).sum::<u64>(), 1, "{large:?}");
}
