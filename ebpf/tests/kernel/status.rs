//! HTTP exchanges, on both sides.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

use ebpf::raw::{Http, HttpError, Record, Role, SLOTS, SumKey};
use ebpf::{Family, Loaded};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{attached, own_cgroup_id, records_until};

/// Answers `requests` requests: 500 for paths under /fail, 200 otherwise.
fn serve(listener: &TcpListener, requests: usize) {
    for stream in listener.incoming().take(requests) {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        let fails = request[..length].starts_with(b"GET /fail");
        let status = if fails {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        stream
            .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .unwrap();
    }
}

/// One exchange; returns the status the client itself read.
fn get(port: u16, path: &str) -> u32 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response[9..12].parse().unwrap()
}

pub(crate) fn errors_at(records: &[Record], port: u16) -> Vec<HttpError> {
    let error = |record: &Record| {
        if let Record::HttpError(error) = record {
            Some(*error)
        } else {
            None
        }
    };
    let here = |error: &HttpError| [error.peer_port, error.local_port].contains(&u32::from(port));
    records.iter().filter_map(error).filter(here).collect()
}

pub(crate) fn counted(entries: &[(SumKey, Http)], role: Role, status: u32) -> u64 {
    let of = entries
        .iter()
        .filter(|(key, _)| key.role == role as u16 && key.outcome == status);
    of.map(|(_, http)| http.count()).sum()
}

pub(crate) fn entries_at(loaded: &mut Loaded, port: u16) -> Vec<(SumKey, Http)> {
    let entries = loaded.drain_http(None);
    entries
        .into_iter()
        .filter(|(key, _)| key.port == u32::from(port))
        .collect()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_500_is_reported_and_counted_on_both_sides_and_a_200_only_counted() {
    let mut loaded = attached(Family::Status);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || serve(&listener, 3));
    let witness = [get(port, "/ok"), get(port, "/fail?token=1"), get(port, "/ok")];
    assert_eq!(witness, [200, 500, 200]);
    server.join().unwrap();
    let records = records_until(&mut loaded, |records| errors_at(records, port).len() == 2);
    for error in errors_at(&records, port) {
        assert_eq!((error.status, error.task.tgid), (500, process::id()));
        assert!(
            error.latency_ns > 0 && error.latency_ns < 5_000_000_000,
            "{error:?}"
        );
        assert_eq!(error.task.cgroup_id, own_cgroup_id());
    }
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        assert_eq!(
            (counted(&entries, role, 200), counted(&entries, role, 500)),
            (2, 1),
            "{role:?}"
        );
    }
}

/// What the client's end tells of the trace of a request that fails, which is repeated until that is told: the same failure is
/// told once in a tenth of a second.
fn trace_told(loaded: &mut Loaded, head: &str) -> [u8; 56] {
    let (client, server, port) = connection();
    let is_told = |error: &HttpError| error.role == Role::Client as u32;
    let told = records_until(loaded, |records| {
        (&client).write_all(head.as_bytes()).unwrap();
        (&server).read_exact(&mut vec![0; head.len()]).unwrap();
        (&server).write_all(FAILED).unwrap();
        (&client).read_exact(&mut [0; FAILED.len()]).unwrap();
        errors_at(records, port).iter().any(is_told)
    });
    errors_at(&told, port)
        .into_iter()
        .find(is_told)
        .unwrap()
        .trace_parent
}

const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

#[test]
#[ignore = "needs CAP_BPF"]
fn the_trace_of_a_failed_request_is_told_wherever_its_header_stands() {
    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut loaded = attached(Family::Status);
    if !loaded.follows_http2() {
        return println!("SKIP: what requests say of themselves is read from Linux 6.3 on");
    }
    let head = |headers: &str| format!("GET / HTTP/1.1\r\n{headers}Host: a\r\n\r\n");
    // requests are read from the first failure on
    trace_told(&mut loaded, &head(""));
    for padding in [0, 1, 2, 3, 4, 5, 6, 7, 8, 60, 900] {
        let before = format!("X: {}\r\n", "y".repeat(padding));
        for name in ["traceparent", "Traceparent"] {
            let told = trace_told(&mut loaded, &head(&format!("{before}{name}: {VALUE}\r\n")));
            assert_eq!(&told[..55], VALUE.as_bytes(), "{padding} {name}");
        }
        let other = trace_told(&mut loaded, &head(&format!("{before}tracestate: {VALUE}\r\n")));
        assert_eq!(other, [0; 56], "{padding}");
    }
    let far = format!("X: {}\r\ntraceparent: {VALUE}\r\n", "y".repeat(2000));
    assert_eq!(trace_told(&mut loaded, &head(&far)), [0; 56]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn bytes_that_are_not_http_are_nothing() {
    let mut loaded = attached(Family::Status);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"EHLO here, and more of it\r\n").unwrap();
    server
        .write_all(b"HTTP/1.1 500 without a request\r\n\r\n")
        .unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap_or_default();
    assert!(entries_at(&mut loaded, port).is_empty());
}

/// The histogram's bounds of a status, ns: the least that the fastest took, and what the slowest took at most.
fn took(entries: &[(SumKey, Http)], role: Role, status: u32) -> (u64, u64) {
    let of = |key: &SumKey| key.role == role as u16 && key.outcome == status;
    let slots: Vec<usize> = entries
        .iter()
        .filter(|(key, _)| of(key))
        .flat_map(|(_, http)| (0..SLOTS).filter(|slot| http.latency_slots[*slot] > 0))
        .collect();
    let (first, last) = (slots.iter().min().unwrap(), slots.iter().max().unwrap());
    (1000 << first, 1000 << (last + 1))
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap() * 1_000_000_000 + rest.unwrap()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn an_exchange_takes_as_long_as_the_server_makes_its_client_wait() {
    const WORK: Duration = Duration::from_millis(50);
    let mut loaded = attached(Family::Status);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // The second request of a connection is told by its direction, the first by its bytes.
    let work = thread::spawn(move || {
        let (mut server, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        for (work, status) in [
            (Duration::ZERO, "200 OK"),
            (WORK, "201 Created"),
            (WORK, "202 Accepted"),
        ] {
            let _ = server.read(&mut request).unwrap();
            thread::park_timeout(work);
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            server.write_all(response.as_bytes()).unwrap();
        }
    });
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut witness = Vec::new();
    for _ in 0..3 {
        let began_ns = now_ns();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        assert!(client.read(&mut [0; 1024]).unwrap() > 0);
        witness.push(now_ns() - began_ns);
    }
    work.join().unwrap();
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        for (status, seen_ns) in [(200, witness[0]), (201, witness[1]), (202, witness[2])] {
            let (least, most) = took(&entries, role, status);
            assert!(least <= seen_ns, "{role:?} {status}: {least} of {seen_ns}");
            let slow = u64::try_from(WORK.as_nanos()).unwrap();
            assert_eq!(
                most > slow,
                status != 200,
                "{role:?} {status}: {most} of {seen_ns}"
            );
        }
    }
}

/// Sends and answers `exchanges` times on one connection, as quickly as it goes.
fn converse(
    (client, server): &mut (TcpStream, TcpStream),
    exchanges: usize,
    request: &[u8],
    response: &[u8],
) {
    let (mut asked, mut answered) = (vec![0; request.len()], vec![0; response.len()]);
    for _ in 0..exchanges {
        client.write_all(request).unwrap();
        server.read_exact(&mut asked).unwrap();
        server.write_all(response).unwrap();
        client.read_exact(&mut answered).unwrap();
    }
}

fn connection() -> (TcpStream, TcpStream, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let client = TcpStream::connect(at).unwrap();
    (client, listener.accept().unwrap().0, at.port())
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[test]
#[ignore = "needs CAP_BPF"]
fn exchanges_that_are_too_quick_to_be_read_are_counted_all_the_same() {
    const MANY: usize = 5_000;
    let mut loaded = attached(Family::Status);
    let (client, server, port) = connection();
    converse(&mut (client, server), MANY, REQUEST, RESPONSE);
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        assert_eq!(counted(&entries, role, 204), MANY as u64, "{role:?}");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_another_protocol_says_on_the_same_connection_is_no_exchange() {
    const FRAME: &[u8] = b"a frame of a protocol that is not HTTP";
    let mut loaded = attached(Family::Status);
    let (client, server, port) = connection();
    let mut ends = (client, server);
    converse(&mut ends, 2, REQUEST, RESPONSE);
    // longer than a tick: of responses within one only the first is read
    let tick = || thread::park_timeout(Duration::from_nanos(2 * ebpf::TICK_NS));
    tick();
    converse(&mut ends, 1, REQUEST, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    converse(&mut ends, 100, FRAME, FRAME);
    tick();
    converse(&mut ends, 100, FRAME, FRAME);
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        let of = |(key, _): &&(SumKey, Http)| key.role == role as u16;
        let all: u64 = entries.iter().filter(of).map(|(_, http)| http.count()).sum();
        assert_eq!(all, 2, "{role:?}");
    }
}
