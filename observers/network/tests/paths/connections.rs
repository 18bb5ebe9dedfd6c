//! Connections that fail or break on their way for real, each told apart from the others, and nothing of those that are well.

use std::net::{IpAddr, TcpListener};

use bus_schema::event::network::{ConnectFailure, EdgeStats, Role};
use bus_schema::event::{Body, Event};
use observer_network::Network;

use crate::neighbour::Neighbour;
use crate::program::Program;
use crate::told::Told;
use crate::{inside, packets_filtered, python, run, start};

const OBSERVER: &str = "network";

/// Connects and says which errno came of it.
const CONNECT: &str = "import errno,socket,sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print('connected')
except OSError as error: print(errno.errorcode.get(error.errno, error))";

/// Connects, says so, and once told to sends something for which it waits no longer than half a second to be acknowledged.
const LOSE: &str = "import errno,socket,sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
connection.settimeout(10)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
print('connected', flush=True)
sys.stdin.readline()
try: connection.sendall(b'request'); connection.recv(1)
except OSError as error: print(errno.errorcode.get(error.errno, error))";

/// Sends so many segments, one after the other is answered.
const SEND: &str = "import socket,sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(int(sys.argv[3])):
    connection.sendall(b'x' * 100)
    assert connection.recv(1)";

/// Answers each hundred bytes with one, until its input ends; says at which port.
const ANSWER: &str = "import os,socket,sys,threading
listener = socket.create_server((sys.argv[1], 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while connection.recv(100, socket.MSG_WAITALL):
        connection.sendall(b'y')";

/// Has two connections to one address and wants a third.
const THREE: &str = "import errno,socket,sys
to = (sys.argv[1], int(sys.argv[2]))
kept = [socket.create_connection(to, 5) for _ in range(2)]
try: socket.create_connection(to, 5); print('connected')
except OSError as error: print(errno.errorcode.get(error.errno, error))";

/// A Python program that runs at the other end.
fn start_at(end: &Neighbour, arguments: &[&str]) -> Program {
    start(&inside(end, &python(arguments)))
}

fn is_to(event: &Event, to: &str, port: u16) -> bool {
    let address = event.object.as_ref().and_then(|object| object.address.as_ref());
    address.is_some_and(|address| address.ip == to.parse::<IpAddr>().unwrap() && address.port == port)
}

/// How an attempt to connect there failed.
fn failure(event: &Event, to: &str, port: u16) -> Option<(ConnectFailure, i32)> {
    let Body::ConnectFailed(failed) = &event.body else {
        return None;
    };
    is_to(event, to, port).then_some((failed.failure, failed.errno))
}

async fn first_failure(told: &mut Told, to: &str, port: u16) -> Option<(ConnectFailure, i32)> {
    let events = told.until(|event| failure(event, to, port).is_some()).await;
    events.iter().find_map(|event| failure(event, to, port))
}

/// What was counted of a client's connections there.
fn stats<'a>(event: &'a Event, to: &str, port: u16) -> Option<&'a EdgeStats> {
    let Body::EdgeStats(stats) = &event.body else {
        return None;
    };
    (stats.role == Role::Client && is_to(event, to, port)).then_some(stats)
}

/// What the network answers to who connects from another end by such a rule, by errno and as it is told.
async fn told_of(told: &mut Told, rule: Option<&str>) -> (String, Option<(ConnectFailure, i32)>) {
    let end = Neighbour::new();
    let listener = TcpListener::bind((end.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    if let Some(rule) = rule {
        end.treats("filter", &format!("tcp dport {port} {rule}"));
    }
    let mut program = start_at(&end, &[CONNECT, &end.host(), &port.to_string()]);
    let witness = program.line();
    let events = told
        .until(|event| stats(event, &end.host(), port).is_some_and(|stats| stats.attempts > 0))
        .await;
    let failure = |event: &Event| failure(event, &end.host(), port);
    (witness, events.iter().rev().find_map(failure))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn what_answers_in_place_of_a_listener_is_told_apart() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let refused = Some((ConnectFailure::Refused, 111));
    let unreachable = Some((ConnectFailure::Unreachable, 113));
    for (rule, witness, expected) in [
        (None, "connected", None),
        (Some("reject with tcp reset"), "ECONNREFUSED", refused),
        (
            Some("reject with icmp type port-unreachable"),
            "ECONNREFUSED",
            refused,
        ),
        (
            Some("reject with icmp type host-unreachable"),
            "EHOSTUNREACH",
            unreachable,
        ),
        (
            Some("reject with icmp type admin-prohibited"),
            "EHOSTUNREACH",
            unreachable,
        ),
    ] {
        let seen = told_of(&mut told, rule).await;
        assert_eq!(seen, (witness.to_owned(), expected), "{rule:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn a_router_without_a_route_is_told_as_unreachable() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let router = Neighbour::new();
    let to = router.ip().replace("198.18", "198.19");
    run(&["ip", "route", "add", &to, "via", &router.ip()].map(ToOwned::to_owned));
    run(&router.inside(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]));
    let witness = run(&python(&[CONNECT, &to, "80"]));
    assert_eq!(witness, "ENETUNREACH\n");
    let seen = first_failure(&mut told, &to, 80).await;
    assert_eq!(seen, Some((ConnectFailure::Unreachable, 101)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn a_connection_that_nobody_acknowledges_any_more_is_told_as_given_up() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let end = Neighbour::new();
    let listener = TcpListener::bind((end.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut program = start_at(&end, &[LOSE, &end.host(), &port.to_string()]);
    assert_eq!(program.line(), "connected");
    end.treats("filter", &format!("tcp dport {port} drop"));
    program.go_on();
    assert_eq!(program.line(), "ETIMEDOUT");
    let mut sums = [0; 4];
    told.until(|event| {
        if let Some(stats) = stats(event, &end.host(), port) {
            let seen = [stats.closed, stats.unacknowledged, stats.reset, stats.aborted];
            sums.iter_mut().zip(seen).for_each(|(sum, count)| *sum += count);
        }
        sums[0] > 0
    })
    .await;
    assert_eq!(sums, [1, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn of_what_is_lost_at_random_the_share_is_told_and_of_what_arrives_nothing() {
    const SEGMENTS: u64 = 2_000;
    let mut told = Told::by::<Network>(OBSERVER).await;
    for (rule, is_lossy) in [(None, false), (Some("numgen random mod 100 < 5"), true)] {
        let end = Neighbour::new();
        let mut server = start_at(&end, &[ANSWER, &end.ip()]);
        let port: u16 = server.line().parse().unwrap();
        if let Some(rule) = rule {
            let rule = format!("filter tcp dport {port} meta length > 120 {rule} counter drop");
            for command in [
                "add table ip told",
                "add chain ip told filter { type filter hook input priority 0; }",
                &format!("add rule ip told {rule}"),
            ] {
                run(&end.inside(&["nft", command]));
            }
        }
        let arguments = [SEND, &end.ip(), &port.to_string(), &SEGMENTS.to_string()];
        let mut client = start(&python(&arguments));
        assert_eq!(client.line(), "", "it has sent all");
        let (mut segments, mut again, mut closed) = (0, 0, 0);
        told.until(|event| {
            if let Some(stats) = stats(event, &end.ip(), port) {
                segments += stats.segments;
                again += stats.retransmits;
                closed += stats.closed;
            }
            closed > 0
        })
        .await;
        if !is_lossy {
            assert_eq!((segments, again), (SEGMENTS, 0));
            continue;
        }
        let dropped = packets_filtered(&end);
        assert!((60..=160).contains(&dropped), "{dropped} of {SEGMENTS}");
        // what is sent again may be lost again, and a slow acknowledgement is no loss
        assert!(
            again.abs_diff(dropped) * 20 <= dropped,
            "{again} sent again, {dropped} dropped"
        );
        assert!(
            segments.abs_diff(SEGMENTS + again) * 100 <= SEGMENTS,
            "{segments}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn who_has_no_port_left_is_told_so() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let end = Neighbour::new();
    let listener = TcpListener::bind((end.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    run(&end.inside(&["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001"]));
    let mut program = start_at(&end, &[THREE, &end.host(), &port.to_string()]);
    assert_eq!(program.line(), "EADDRNOTAVAIL");
    let seen = first_failure(&mut told, &end.host(), port).await;
    assert_eq!(seen, Some((ConnectFailure::Other, 99)));
}
