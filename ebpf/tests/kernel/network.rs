//! Connections: outcome, owner, listeners.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use std::{iter, process};

use ebpf::raw::{Edge, Listener, Record, Role, SumKey, Task, address};
use ebpf::{Family, Full};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{
    attached, attached_for, collect_until, is_this_process, own_cgroup_id, own_netns, records_until,
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn closed_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn edges_of(port: u16) -> impl Fn(&(SumKey, Edge)) -> bool {
    move |(key, _)| key.port == u32::from(port)
}

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
fn a_storm_of_refusals_is_one_record_and_a_full_count() {
    let mut loaded = attached(Family::Network);
    let closed = closed_port();
    for _ in 0..200 {
        TcpStream::connect((LOCALHOST, closed)).unwrap_err();
    }
    let edges = loaded.drain_edges(None);
    let refused: Vec<_> = edges.iter().filter(|entry| edges_of(closed)(entry)).collect();
    assert!(
        refused
            .iter()
            .all(|(key, edge)| key.outcome == 111 && edge.latency_sum_ns > 0)
    );
    assert_eq!(refused.iter().map(|(_, edge)| edge.count).sum::<u64>(), 200);
    let mut records = 0;
    loaded.reader().unwrap().drain(|_, bytes| {
        if let Record::ConnectFailed(failed) = Record::parse(bytes).unwrap() {
            records += usize::from(failed.peer_port == u32::from(closed));
        }
    });
    assert!((1..=3).contains(&records), "{records} records");
    assert!(
        !loaded.drain_edges(None).iter().any(edges_of(closed)),
        "drained twice"
    );
}

/// How many edges found no row, of more peers than a small table has rows.
fn edges_without_room(processors: u32) -> u64 {
    const PEERS: u32 = 20_000;
    let loaded = attached_for(Family::Network, processors);
    let closed = closed_port();
    for number in 0..PEERS {
        let peer = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + 256 * number);
        TcpStream::connect((peer, closed)).unwrap_err();
    }
    let losses = loaded.losses().unwrap();
    let full = losses.iter().filter(|loss| loss.full == Full::Table);
    full.map(|loss| loss.total).sum()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn with_more_processors_there_is_room_for_more_sums_and_what_finds_none_is_counted() {
    assert!(edges_without_room(1) > 1_000);
    assert_eq!(edges_without_room(32), 0);
}

/// More peers than a hash keeps apart, and open connections among the places of those that fail.
#[test]
#[ignore = "needs CAP_BPF"]
fn each_of_many_peers_and_of_many_open_connections_is_counted() {
    const PEERS: u32 = 4_096;
    const OPEN: u64 = 400;
    let mut loaded = attached(Family::Network);
    let closed = closed_port();
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let peer = |number: u32| Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + 256 * number);
    let pair = |_| (TcpStream::connect(at).unwrap(), listener.accept().unwrap());
    let open: Vec<_> = (0..OPEN).map(pair).collect();
    for number in 0..PEERS {
        TcpStream::connect((peer(number), closed)).unwrap_err();
    }
    drop(open);
    let skipped = Cell::new(0);
    let more = |loaded: &mut ebpf::Loaded| {
        // The kernel itself says how often it ran no program.
        skipped.set(loaded.costs().iter().map(|cost| cost.skipped).sum::<u64>());
        let ours = |(key, _): &(SumKey, Edge)| [closed, at.port()].map(u32::from).contains(&key.port);
        loaded.drain_edges(None).into_iter().filter(ours).collect()
    };
    // A beginning that passed unseen is missing at the end as well.
    let done = |entries: &[(SumKey, Edge)]| {
        let seen: u64 = entries.iter().map(|(_, edge)| edge.count + edge.closed).sum();
        seen + 2 * skipped.get() >= u64::from(PEERS) + 4 * OPEN
    };
    let (mut refused, mut both_ends) = (BTreeMap::new(), [(0, 0); 2]);
    for (key, edge) in collect_until(&mut loaded, more, done) {
        if key.port == u32::from(closed) {
            *refused.entry(address(key.peer)).or_insert(0) += edge.count;
        } else {
            let (began, ended) = &mut both_ends[usize::from(key.role == Role::Server as u32)];
            (*began, *ended) = (*began + edge.count, *ended + edge.closed);
        }
    }
    let known: BTreeSet<_> = (0..PEERS).map(|number| IpAddr::from(peer(number))).collect();
    assert!(
        refused
            .iter()
            .all(|(at, count)| known.contains(at) && *count == 1)
    );
    assert!(
        both_ends.iter().all(|(began, ended)| began.max(ended) <= &OPEN),
        "{both_ends:?}"
    );
    assert_eq!(loaded.losses().unwrap(), []);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_is_counted_is_of_the_second_in_which_it_happened_however_late_it_is_drained() {
    let mut loaded = attached(Family::Network);
    let epoch = Duration::from_secs(1_000);
    loaded
        .set_epoch(u64::try_from(epoch.as_nanos()).unwrap())
        .unwrap();
    let second = || {
        let now = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
        u32::try_from(now).unwrap() + 1_000
    };
    let closed = closed_port();
    let first = second();
    TcpStream::connect((LOCALHOST, closed)).unwrap_err();
    let after_first = second();
    let mut running = after_first;
    while running < after_first + 2 {
        running = second();
        std::thread::yield_now();
    }
    TcpStream::connect((LOCALHOST, closed)).unwrap_err();
    let is_last = |second: u32| (running..=running + 1).contains(&second);
    let seconds = |drained: Vec<(SumKey, Edge)>| -> Vec<u32> {
        let ours = drained.iter().filter(|entry| edges_of(closed)(entry));
        ours.map(|(key, _)| key.second).collect()
    };
    let over = seconds(loaded.drain_edges(Some(second())));
    let rest = seconds(loaded.drain_edges(None));
    let mut all = [over.clone(), rest].concat();
    all.sort_unstable();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!((first..=after_first).contains(&all[0]), "{all:?} after {first}");
    assert!(is_last(all[1]), "{all:?} at {running}");
    assert!(over.contains(&all[0]), "a second that is over");
}

#[test]
#[ignore = "needs CAP_BPF"]
fn both_ends_of_a_connection_are_counted_with_their_bytes() {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect((LOCALHOST, port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    drop((client, server));
    let more = |loaded: &mut ebpf::Loaded| {
        loaded
            .drain_edges(None)
            .into_iter()
            .filter(edges_of(port))
            .collect::<Vec<_>>()
    };
    let closed = |entries: &[(SumKey, Edge)]| entries.iter().map(|(_, edge)| edge.closed).sum::<u64>() == 2;
    let entries = collect_until(&mut loaded, more, closed);
    for (role, sent, received) in [(Role::Client, 5, 0), (Role::Server, 0, 5)] {
        let of: Vec<_> = entries
            .iter()
            .filter(|(key, _)| key.role == role as u32)
            .collect();
        assert!(
            of.iter()
                .all(|(key, _)| key.outcome == 0 && key.cgroup_id == own_cgroup_id())
        );
        assert_eq!(of.iter().map(|(_, edge)| edge.count).sum::<u64>(), 1, "{role:?}");
        assert_eq!(
            of.iter().map(|(_, edge)| edge.bytes_sent).sum::<u64>(),
            sent,
            "{role:?}"
        );
        let with_fin = of.iter().map(|(_, edge)| edge.bytes_received).sum::<u64>();
        assert!(
            (received..=received + 1).contains(&with_fin),
            "{role:?}: {with_fin}"
        );
    }
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
        let accepted = |key: &SumKey| key.port == u32::from(port) && key.role == Role::Server as u32;
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
