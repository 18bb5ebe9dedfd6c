//! What is counted per peer: sums of connections, their bytes, the second they belong to, and room for them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use ebpf::raw::{Edge, Record, Role, SumKey, address};
use ebpf::{Family, Full, Settings};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{LOCALHOST, attached, attached_alone, closed_port, collect_until, own_cgroup_id};

fn edges_of(port: u16) -> impl Fn(&(SumKey, Edge)) -> bool {
    move |(key, _)| key.port == u32::from(port)
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
    let loaded = attached_alone(Family::Network, processors);
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
    let mut loaded = attached_alone(Family::Network, Settings::default().processors);
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
        let seen: u64 = entries
            .iter()
            .map(|(_, edge)| edge.count + u64::from(edge.closed))
            .sum();
        seen + 2 * skipped.get() >= u64::from(PEERS) + 4 * OPEN
    };
    let (mut refused, mut both_ends) = (BTreeMap::new(), [(0, 0); 2]);
    for (key, edge) in collect_until(&mut loaded, more, done) {
        if key.port == u32::from(closed) {
            *refused.entry(address(key.peer)).or_insert(0) += edge.count;
        } else {
            let (began, ended) = &mut both_ends[usize::from(key.role == Role::Server as u16)];
            (*began, *ended) = (*began + edge.count, *ended + u64::from(edge.closed));
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
    let closed = |entries: &[(SumKey, Edge)]| entries.iter().map(|(_, edge)| edge.closed).sum::<u32>() == 2;
    let entries = collect_until(&mut loaded, more, closed);
    for (role, sent, received) in [(Role::Client, 5, 0), (Role::Server, 0, 5)] {
        let of: Vec<_> = entries
            .iter()
            .filter(|(key, _)| key.role == role as u16)
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

/// Ends a connection in some way, and gives what the two ends have counted of those that broke: reset, aborted, given up.
fn broken(end: impl FnOnce(TcpStream, TcpStream)) -> [[u32; 3]; 2] {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect((LOCALHOST, port)).unwrap();
    let (server, _) = listener.accept().unwrap();
    end(client, server);
    let more = |loaded: &mut ebpf::Loaded| {
        let drained = loaded.drain_edges(None).into_iter();
        drained.filter(edges_of(port)).collect::<Vec<_>>()
    };
    let closed = |entries: &[(SumKey, Edge)]| entries.iter().map(|(_, edge)| edge.closed).sum::<u32>() == 2;
    let entries = collect_until(&mut loaded, more, closed);
    [Role::Client, Role::Server].map(|role| {
        let of = entries.iter().filter(|(key, _)| key.role == role as u16);
        of.fold([0; 3], |[reset, aborted, given_up], (_, edge)| {
            [
                reset + edge.reset,
                aborted + edge.aborted,
                given_up + edge.unacknowledged,
            ]
        })
    })
}

/// Has the socket send a reset when it is closed.
fn without_patience(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

#[test]
#[ignore = "needs CAP_BPF"]
fn who_broke_a_connection_is_told_at_both_ends_and_who_closes_it_breaks_none() {
    let (reset, aborted, whole) = ([1, 0, 0], [0, 1, 0], [0; 3]);
    let unread = broken(|mut client, server| {
        client.write_all(b"request").unwrap();
        server.peek(&mut [0]).unwrap();
        drop(server);
        client.read(&mut [0]).unwrap_err();
    });
    assert_eq!(unread, [reset, aborted], "the server left something unread");
    let impatient = broken(|client, mut server| {
        without_patience(&client);
        drop(client);
        server.read(&mut [0]).unwrap_err();
    });
    assert_eq!(impatient, [aborted, reset]);
    let written_to_nobody = broken(|mut client, server| {
        drop(server);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        client.write_all(b"request").unwrap();
        while client.write_all(b"and more").is_ok() {}
    });
    assert_eq!(
        written_to_nobody,
        [reset, whole],
        "the server had closed it before"
    );
    let by_server = broken(|mut client, server| {
        drop(server);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
    let by_client = broken(|client, mut server| {
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
    assert_eq!([by_server, by_client], [[whole; 2]; 2]);
}
