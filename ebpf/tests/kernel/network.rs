//! Connections: outcome, owner, listeners.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::time::Duration;

use ebpf::Family;
use ebpf::raw::{Edge, EdgeKey, Record, Role, address};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{
    as_ticks, attached, collect_until, own_cgroup_id, own_netns, records_until, start_ticks,
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn closed_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn edges_of(port: u16) -> impl Fn(&(EdgeKey, Edge)) -> bool {
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
    assert_eq!(failed.task.tgid, process::id());
    assert_eq!(as_ticks(failed.task.start_ns), start_ticks(process::id()));
    assert_eq!(failed.task.cgroup_id, own_cgroup_id());
    assert_eq!(failed.netns, own_netns());
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_storm_of_refusals_is_one_record_and_a_full_count() {
    let mut loaded = attached(Family::Network);
    let closed = closed_port();
    for _ in 0..200 {
        TcpStream::connect((LOCALHOST, closed)).unwrap_err();
    }
    let edges = loaded.drain_edges(None).unwrap();
    let refused: Vec<_> = edges.iter().filter(|entry| edges_of(closed)(entry)).collect();
    assert!(
        refused
            .iter()
            .all(|(key, edge)| key.error == 111 && edge.latency_sum_ns > 0)
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
        !loaded.drain_edges(None).unwrap().iter().any(edges_of(closed)),
        "drained twice"
    );
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_is_counted_is_of_the_second_in_which_it_happened_however_late_it_is_drained() {
    let mut loaded = attached(Family::Network);
    let boot_time = Duration::from_secs(1_000);
    loaded
        .set_boot_time(u64::try_from(boot_time.as_nanos()).unwrap())
        .unwrap();
    let second = || {
        let now = clock_gettime(ClockId::Boottime).tv_sec;
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
    let seconds = |drained: Vec<(EdgeKey, Edge)>| -> Vec<u32> {
        let ours = drained.iter().filter(|entry| edges_of(closed)(entry));
        ours.map(|(key, _)| key.second).collect()
    };
    let over = seconds(loaded.drain_edges(Some(second())).unwrap());
    let rest = seconds(loaded.drain_edges(None).unwrap());
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
            .unwrap()
            .into_iter()
            .filter(edges_of(port))
            .collect::<Vec<_>>()
    };
    let closed = |entries: &[(EdgeKey, Edge)]| entries.iter().map(|(_, edge)| edge.closed).sum::<u64>() == 2;
    let entries = collect_until(&mut loaded, more, closed);
    for (role, sent, received) in [(Role::Client, 5, 0), (Role::Server, 0, 5)] {
        let of: Vec<_> = entries
            .iter()
            .filter(|(key, _)| key.role == role as u32)
            .collect();
        assert!(
            of.iter()
                .all(|(key, _)| key.error == 0 && key.cgroup_id == own_cgroup_id())
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
fn a_listener_begins_and_ends_and_a_bound_socket_does_not() {
    let mut loaded = attached(Family::Network);
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let SocketAddr::V6(at) = listener.local_addr().unwrap() else {
        panic!("not v6")
    };
    drop(listener);
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
    assert!(
        seen.iter()
            .all(|record| !matches!(record, Record::ConnectFailed(_)))
    );
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
    let entries = loaded.drain_edges(None).unwrap();
    let cancelled = entries
        .iter()
        .filter(|(key, _)| key.port == u32::from(at.port()) && key.error == 125);
    let sum = |(count, waited_ns), (_, edge): &(EdgeKey, Edge)| {
        (count + edge.count, waited_ns + edge.latency_sum_ns)
    };
    let (count, waited_ns) = cancelled.fold((0, 0), sum);
    assert_eq!(count, u64::try_from(given_up).unwrap());
    assert!(waited_ns >= count * 200_000_000);
}
