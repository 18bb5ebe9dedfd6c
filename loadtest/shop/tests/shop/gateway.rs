//! The gateway: its answers, its retries counted by the cache's side, its bug, and how it stops.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Role, entries};

/// A cache that counts its connections and cuts each one off.
struct Witness {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Witness {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                seen.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { address, connections }
    }
}

fn get(gateway: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(gateway).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn outcomes(entry: &Value) -> Vec<&str> {
    entry["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect()
}

#[test]
fn the_value_of_the_cache_is_answered_with_200() {
    let (_cache, cache) = Role::serve(&["cache", "--value-size", "5"]);
    let (_gateway, gateway) = Role::serve(&["gateway", "--cache", &cache.to_string()]);
    let answer = get(gateway, "/items/7");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nvvvvv"),
        "{answer}"
    );
    assert!(get(gateway, "/items/none").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn a_cache_that_cuts_off_is_asked_exactly_as_often_as_configured() {
    let witness = Witness::start();
    let (_gateway, gateway) = Role::serve(&["gateway", "--cache", &witness.address, "--attempts", "5"]);
    assert!(get(gateway, "/items/0").starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    assert_eq!(witness.connections.load(Ordering::SeqCst), 5);
}

#[test]
fn a_cache_that_is_gone_is_refused_attempts_and_a_500() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("gateway.log");
    let (_gateway, gateway) = Role::serve(&[
        "gateway",
        "--cache",
        &nobody(),
        "--access-log",
        log.to_str().unwrap(),
    ]);
    assert!(get(gateway, "/items/0").starts_with("HTTP/1.1 500 "));
    let entries = entries(&log);
    assert_eq!(entries.len(), 1);
    assert_eq!(outcomes(&entries[0]), ["refused", "refused", "refused"]);
    assert_eq!(
        (entries[0]["status"].as_u64(), entries[0]["bug"].as_bool()),
        (Some(500), Some(false))
    );
}

#[test]
fn a_name_without_an_address_is_a_500() {
    let (_gateway, gateway) = Role::serve(&["gateway", "--cache", "nowhere.invalid:6379"]);
    assert!(get(gateway, "/items/0").starts_with("HTTP/1.1 500 "));
}

#[test]
fn the_bug_answers_500_though_the_cache_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway_log, cache_log) = (folder.path().join("gateway.log"), folder.path().join("cache.log"));
    let (_cache, cache) = Role::serve(&["cache", "--access-log", cache_log.to_str().unwrap()]);
    let (_gateway, gateway) = Role::serve(&[
        "gateway",
        "--cache",
        &cache.to_string(),
        "--fail-ratio",
        "0.5",
        "--access-log",
        gateway_log.to_str().unwrap(),
    ]);
    let failed = (0..10)
        .filter(|_| get(gateway, "/items/1").starts_with("HTTP/1.1 500 "))
        .count();
    assert_eq!(failed, 5);
    assert_eq!(entries(&cache_log).len(), 10);
    assert!(
        entries(&gateway_log)
            .iter()
            .all(|entry| outcomes(entry) == ["answered"])
    );
}

#[test]
fn a_pool_uses_one_connection_for_many_requests() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("cache.log");
    let (_cache, cache) = Role::serve(&["cache", "--access-log", log.to_str().unwrap()]);
    let (_gateway, gateway) = Role::serve(&["gateway", "--cache", &cache.to_string(), "--pool", "2"]);
    for _ in 0..10 {
        assert!(get(gateway, "/items/1").starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(entries(&log).len(), 1);
}

#[test]
fn a_request_in_flight_is_answered_after_sigterm_and_the_exit_is_clean() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = slow.local_addr().unwrap().to_string();
    let (mut gateway, at) = Role::serve(&["gateway", "--cache", &address]);
    let client = std::thread::spawn(move || get(at, "/items/0"));
    let (mut asked, _) = slow.accept().unwrap();
    gateway.signal(Signal::TERM);
    crate::process::wait_for("the port to close", || {
        TcpStream::connect(at).is_err().then_some(())
    });
    asked.write_all(b"VALUE 2\r\nok\r\n").unwrap();
    assert!(client.join().unwrap().ends_with("\r\n\r\nok"));
    assert!(gateway.ended().success());
}
