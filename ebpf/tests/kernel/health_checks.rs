//! Kubelet's and load balancers' tests of a server are told from its users' requests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use ebpf::Family;
use ebpf::raw::{Http, Role, SumKey};

use crate::status::{entries_at, errors_at};
use crate::support::{attached, attached_alone, records_until};

const NOT_READY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Sends the requests on one connection to a server that answers each with 503. Returns its port once the client has read
/// every answer.
fn ask(requests: &[String]) -> u16 {
    ask_reader_of(0, requests)
}

/// The same of a server that reads so many bytes of each request by themselves.
fn ask_reader_of(first: usize, requests: &[String]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let answers = requests.len();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..answers {
            stream.read_exact(&mut vec![0; first]).unwrap();
            assert!(stream.read(&mut [0; 2048]).unwrap() > 0);
            stream.write_all(NOT_READY).unwrap();
        }
    });
    let mut client = TcpStream::connect(at).unwrap();
    for request in requests {
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; NOT_READY.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, NOT_READY, "the client's own account");
    }
    server.join().unwrap();
    at.port()
}

fn request(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 10.244.0.17:8080\r\n{header}\r\nAccept: */*\r\n\r\n")
}

/// Exchanges of that role that a server was tested by, and that it had with users.
fn told(entries: &[(SumKey, Http)], role: Role) -> (u64, u64) {
    let count = |health_check: u8| {
        let of = |(key, _): &&(SumKey, Http)| key.role == role as u16 && key.health_check == health_check;
        entries.iter().filter(of).map(|(_, http)| http.count()).sum()
    };
    (count(1), count(0))
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_health_check_is_no_users_request_and_its_503_no_error() {
    let mut loaded = attached(Family::Status);
    let deep = format!("/{}", "deep/".repeat(12));
    let endless = format!("/{}", "endless/".repeat(32));
    for (path, header, is_check) in [
        ("/", "User-Agent: kube-probe/1.34", true),
        ("/healthz", "user-agent: kube-probe/1.34", true),
        (&deep, "User-Agent: kube-probe/1.34", true),
        (
            "/",
            "Connection: close\r\nUser-Agent: ELB-HealthChecker/2.0",
            true,
        ),
        ("/", "User-Agent: GoogleHC/1.0", true),
        ("/", "User-Agent: Consul Health Check", true),
        ("/", "User-Agent: curl/8.5.0", false),
        ("/", "X-Comment: kube-probe/1.34", false),
        ("/?agent=kube-probe/", "User-Agent: curl/8.5.0", false),
        ("/", "User-Agent: curl/8.5.0\r\nX-Agent: kube-probe/1.34", false),
        (&endless, "User-Agent: kube-probe/1.34", false),
    ] {
        let port = ask(&[request(path, header)]);
        let entries = entries_at(&mut loaded, port);
        let expected = if is_check { (1, 0) } else { (0, 1) };
        for role in [Role::Client, Role::Server] {
            assert_eq!(told(&entries, role), expected, "{role:?} {header} {path}");
        }
        // a user's error after it: what the check would have told has come by then
        let control = ask(&[request("/", "User-Agent: curl/8.5.0")]);
        let records = records_until(&mut loaded, |records| errors_at(records, control).len() == 2);
        let errors = errors_at(&records, port).len();
        assert_eq!(errors, if is_check { 0 } else { 2 }, "{header}");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn users_whose_proxy_shares_a_connection_with_a_health_check_are_users() {
    let mut loaded = attached(Family::Status);
    let check = || request("/", "User-Agent: kube-probe/1.34");
    let user = || request("/", "User-Agent: curl/8.5.0");
    let port = ask(&[check(), check(), user(), user()]);
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        assert_eq!(told(&entries, role), (2, 2), "{role:?}");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_server_that_reads_the_first_bytes_by_themselves_is_tested_all_the_same() {
    /// As many as tell HTTP/2 from HTTP/1.
    const PREFACE: usize = 24;
    let mut loaded = attached(Family::Status);
    let by_system_calls = loaded
        .reports()
        .iter()
        .any(|report| report.hook.starts_with("sys_") && !report.superseded);
    for (header, is_check) in [
        ("User-Agent: kube-probe/1.34", true),
        ("User-Agent: curl/8.5.0", false),
    ] {
        let port = ask_reader_of(PREFACE, &[request("/healthz", header)]);
        let entries = entries_at(&mut loaded, port);
        let is_known = is_check && !by_system_calls;
        let expected = if is_known { (1, 0) } else { (0, 1) };
        assert_eq!(told(&entries, Role::Server), expected, "{header}");
    }
}

/// Gives this process a name, which all its threads' connections have.
fn is_called(name: &str) {
    fs::write("/proc/self/comm", name).unwrap();
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_kubelet_asks_is_a_health_check_on_both_sides_whatever_it_says_of_itself() {
    let mut loaded = attached_alone(Family::Status, 1);
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let user = || request("/ready", "User-Agent: curl/8.5.0");
    for (name, is_check) in [("kubelet", true), ("kubelets", false), ("curl", false)] {
        is_called(name);
        let port = ask(&[user(), user()]);
        is_called(own.trim_end());
        let entries = entries_at(&mut loaded, port);
        let expected = if is_check { (2, 0) } else { (0, 2) };
        for role in [Role::Client, Role::Server] {
            assert_eq!(told(&entries, role), expected, "{role:?} of {name}");
        }
    }
}
