//! Connections: outcome, owner, listeners.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use std::{iter, process};

use ebpf::Family;
use ebpf::raw::{Edge, Listener, Record, Role, SumKey, Task, address};

use crate::support::{
    LOCALHOST, attached, closed_port, is_this_process, own_cgroup_id, own_netns, records_until,
};

#[test]
#[ignore = "needs CAP_BPF"]
fn a_refused_connection_names_its_owner_and_an_open_one_is_no_failure() {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let open = listener.local_addr().unwrap().port();
    drop(TcpStream::connect((LOCALHOST, open)).unwrap());
    let closed = closed_port();
    let witness = TcpStream::connect((LOCALHOST, closed))
        .unwrap_err()
        .raw_os_error()
        .unwrap();
    let failures = |records: &[Record]| -> Vec<_> {
        let failure = |record: &Record| {
            if let Record::ConnectFailed(failed) = record {
                Some(*failed)
            } else {
                None
            }
        };
        records.iter().filter_map(failure).collect()
    };
    let seen = records_until(&mut loaded, |records| {
        failures(records)
            .iter()
            .any(|failed| failed.peer_port == u32::from(closed))
    });
    let seen = failures(&seen);
    assert!(seen.iter().all(|failed| failed.peer_port != u32::from(open)));
    let failed = seen
        .iter()
        .find(|failed| failed.peer_port == u32::from(closed))
        .unwrap();
    assert_eq!(i32::try_from(failed.error).unwrap(), witness);
    assert_eq!(address(failed.peer), LOCALHOST);
    assert!(is_this_process(&failed.task, &loaded), "{failed:?}");
    assert_eq!(failed.task.cgroup_id, own_cgroup_id());
    assert_eq!(failed.netns, own_netns());
}

/// A listener whose queue is full, with the connections that fill it: it answers nobody more.
fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let at = listener.local_addr().unwrap();
    let fill = || TcpStream::connect_timeout(&at, Duration::from_millis(100)).ok();
    let queue: Vec<_> = iter::from_fn(fill).take(16).collect();
    assert!(queue.len() < 16, "the queue is never full");
    (listener, queue, at)
}

fn errors_at(records: &[Record], port: u16) -> Vec<u32> {
    let error = |record: &Record| {
        let Record::ConnectFailed(failed) = record else {
            return None;
        };
        (failed.peer_port == u32::from(port)).then_some(failed.error)
    };
    records.iter().filter_map(error).collect()
}

/// A number of `/proc/net/snmp` or `/proc/net/netstat`: the line of names, then that of values.
fn counter(file: &str, prefix: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split_whitespace().position(|other| other == name).unwrap();
    values.split_whitespace().nth(place).unwrap().parse().unwrap()
}

/// Segments sent again but SYNs, as the kernel itself counts them.
fn sent_again() -> u64 {
    let syns = counter("/proc/net/netstat", "TcpExt:", "TCPSynRetrans");
    counter("/proc/net/snmp", "Tcp:", "RetransSegs") - syns
}

#[test]
#[ignore = "needs CAP_BPF"]
fn to_wait_in_vain_is_a_timeout_and_to_leave_at_once_is_not() {
    let (_listener, _queue, at) = silent();
    let mut loaded = attached(Family::Network);
    let outcome = |loaded: &mut ebpf::Loaded, patience| {
        TcpStream::connect_timeout(&at, patience).unwrap_err();
        let seen = records_until(loaded, |records| !errors_at(records, at.port()).is_empty());
        errors_at(&seen, at.port())
    };
    assert_eq!(
        outcome(&mut loaded, Duration::from_millis(1)),
        [103],
        "ECONNABORTED"
    );
    assert_eq!(
        outcome(&mut loaded, Duration::from_millis(50)),
        [125],
        "ECANCELED"
    );
}

#[test]
#[ignore = "needs CAP_BPF"]
fn the_kernels_own_timeout_is_one_and_its_syns_are_no_loss_on_the_way() {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    let (_listener, _queue, at) = silent();
    let mut loaded = attached(Family::Network);
    let (before, seen_before) = (sent_again(), loaded.retransmits_total().unwrap().unwrap());
    let syns = || counter("/proc/net/netstat", "TcpExt:", "TCPSynRetrans");
    let syns_before = syns();
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_tcp_user_timeout(&socket, 1_500).unwrap();
    let witness = rustix::net::connect(&socket, &at).unwrap_err();
    assert_eq!(witness.raw_os_error(), 110, "ETIMEDOUT");
    let seen = records_until(&mut loaded, |records| !errors_at(records, at.port()).is_empty());
    assert_eq!(errors_at(&seen, at.port()), [110]);
    assert!(syns() > syns_before, "a SYN was sent again");
    let seen_again = loaded.retransmits_total().unwrap().unwrap() - seen_before;
    assert_eq!(seen_again, sent_again() - before);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn who_accepts_at_a_listener_older_than_the_programs_is_known_once_they_are_told() {
    const TOLD: u64 = 4711;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut loaded = attached(Family::Network);
    let owners = |loaded: &mut ebpf::Loaded| -> Vec<u64> {
        drop(TcpStream::connect((LOCALHOST, port)).unwrap());
        drop(listener.accept().unwrap());
        let accepted = |key: &SumKey| key.port == u32::from(port) && key.role == Role::Server as u16;
        let edges = loaded.drain_edges(None);
        let ours = edges.iter().filter(|(key, _)| accepted(key));
        ours.map(|(key, _)| key.cgroup_id).collect()
    };
    assert_eq!(owners(&mut loaded), [0], "nobody has told them");
    let at = Listener {
        local: [0; 4],
        port: u32::from(port),
        netns: own_netns(),
    };
    let owner = Task {
        start_ns: 0,
        cgroup_id: TOLD,
        tgid: process::id(),
        tid: process::id(),
        comm: [0; 16],
    };
    loaded.learn_listener(&at, &owner).unwrap();
    assert_eq!(owners(&mut loaded), [TOLD]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_listener_begins_and_ends_and_a_bound_socket_does_not() {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let SocketAddr::V6(at) = listener.local_addr().unwrap() else {
        panic!("not v6")
    };
    drop(listener);
    let bound = rustix::net::socket(
        rustix::net::AddressFamily::INET6,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&bound, &"[::1]:0".parse::<SocketAddr>().unwrap()).unwrap();
    let bound = SocketAddr::try_from(rustix::net::getsockname(&bound).unwrap())
        .unwrap()
        .port();
    let of = |records: &[Record], begins: u32| {
        records.iter().any(|record| {
            let Record::Listen(listen) = record else {
                return false;
            };
            let here =
                listen.local_port == u32::from(at.port()) && address(listen.local) == IpAddr::V6(*at.ip());
            here && listen.begins == begins && listen.task.tgid == process::id()
        })
    };
    let seen = records_until(&mut loaded, |records| of(records, 1) && of(records, 0));
    let is_bound =
        |record: &Record| matches!(record, Record::Listen(listen) if listen.local_port == u32::from(bound));
    assert!(!seen.iter().any(is_bound), "it does not listen");
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_connect_given_up_is_no_refusal() {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(at) = listener.local_addr().unwrap() else {
        panic!("not v4")
    };
    rustix::net::listen(&listener, 0).unwrap();
    let patience = Duration::from_millis(200);
    let fill: Vec<_> = (0..4)
        .map(|_| TcpStream::connect_timeout(&at.into(), patience))
        .collect();
    let given_up = fill.iter().filter(|outcome| outcome.is_err()).count();
    assert!(given_up > 0, "the queue never filled");
    let entries = loaded.drain_edges(None);
    let cancelled = entries
        .iter()
        .filter(|(key, _)| key.port == u32::from(at.port()) && key.outcome == 125);
    let sum = |(count, waited_ns), (_, edge): &(SumKey, Edge)| {
        (count + edge.count, waited_ns + edge.latency_sum_ns)
    };
    let (count, waited_ns) = cancelled.fold((0, 0), sum);
    assert_eq!(count, u64::try_from(given_up).unwrap());
    assert!(waited_ns >= count * 200_000_000);
}
