//! The cache: its protocol, its leak, and how it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::process::{Role, entries, wait_for};

/// At rest the cache stays below this.
const REST_KIB: u64 = 8 * 1024;

fn talk(cache: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(cache).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn each_command_is_answered_in_order() {
    let (_cache, at) = Role::serve(&["cache", "--keys", "1", "--value-size", "3"]);
    let answers = talk(
        at,
        "GET item:0\r\nGET item:1\r\nSET item:1 2\r\nab\r\nGET item:1\r\nPING\r\n",
    );
    assert_eq!(
        answers,
        "VALUE 3\r\nvvv\r\nNOTFOUND\r\nSTORED\r\nVALUE 2\r\nab\r\nPONG\r\n"
    );
}

#[test]
fn what_is_no_command_is_refused_and_the_next_client_is_served() {
    let (_cache, at) = Role::serve(&["cache"]);
    assert_eq!(talk(at, "HELO\r\nPING\r\n"), "ERROR unknown command\r\n");
    assert_eq!(talk(at, &"x".repeat(600)), "ERROR line without end\r\n");
    assert_eq!(talk(at, "SET a 1\r\nbbb"), "ERROR value without end\r\n");
    assert_eq!(talk(at, "PING\r\n"), "PONG\r\n");
}

#[test]
fn a_value_beyond_the_capacity_is_not_stored() {
    let (_cache, at) = Role::serve(&["cache", "--keys", "0", "--capacity", "4B"]);
    assert_eq!(talk(at, "SET a 4\r\nabcd\r\nGET a\r\n"), "FULL\r\nNOTFOUND\r\n");
}

#[test]
fn every_connection_is_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("cache.log");
    let (_cache, at) = Role::serve(&["cache", "--access-log", log.to_str().unwrap()]);
    for _ in 0..3 {
        talk(at, "PING\r\n");
    }
    let entries = entries(&log);
    assert_eq!(entries.len(), 3);
    assert!(
        entries
            .iter()
            .all(|entry| entry["role"] == "cache" && entry["time_ns"].as_u64() > Some(0))
    );
}

#[test]
fn a_leak_grows_the_resident_memory_for_real() {
    let (cache, _) = Role::serve(&["cache", "--leak", "32MiB"]);
    let start = cache.resident_kib();
    wait_for("32 MiB more", || {
        (cache.resident_kib() > start + 32 * 1024).then_some(())
    });
}

#[test]
fn a_leak_stops_at_its_limit() {
    let (cache, at) = Role::serve(&["cache", "--leak-per-request", "1MiB", "--leak-limit", "4MiB"]);
    talk(at, &"GET item:0\r\n".repeat(50));
    let resident = cache.resident_kib();
    assert!(resident < REST_KIB + 4 * 1024, "{resident} KiB");
    assert!(resident > 4 * 1024, "{resident} KiB");
}

#[test]
fn without_a_leak_a_thousand_requests_leave_the_memory_at_rest() {
    let (cache, at) = Role::serve(&["cache", "--leak", "0"]);
    talk(at, &"GET item:0\r\n".repeat(100));
    let start = cache.resident_kib();
    for _ in 0..10 {
        talk(at, &"GET item:0\r\n".repeat(100));
    }
    let end = cache.resident_kib();
    assert!(end < REST_KIB && end < start + 512, "from {start} to {end} KiB");
}

#[test]
fn a_command_in_flight_is_answered_after_sigterm_and_the_exit_is_clean() {
    let (mut cache, at) = Role::serve(&["cache", "--keys", "0"]);
    let mut stream = TcpStream::connect(at).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    stream.write_all(b"PING\r\nSET a 3\r\n").unwrap();
    answers.read_line(&mut line).unwrap();
    assert_eq!(line, "PONG\r\n");
    cache.signal(Signal::TERM);
    wait_for("the port to close", || {
        TcpStream::connect(at).is_err().then_some(())
    });
    stream.write_all(b"abc\r\n").unwrap();
    line.clear();
    answers.read_line(&mut line).unwrap();
    assert_eq!(line, "STORED\r\n");
    assert!(cache.ended().success());
}

#[test]
fn a_killed_cache_starts_again_on_its_port_at_once() {
    let (mut cache, at) = Role::serve(&["cache"]);
    let _held = TcpStream::connect(at).unwrap();
    assert_eq!(talk(at, "PING\r\n"), "PONG\r\n");
    cache.signal(Signal::KILL);
    assert_eq!(cache.ended().code(), None);
    let mut again = Role::start(&["cache", "--listen", &at.to_string()]);
    assert_eq!(again.line()["listening"].as_str(), Some(at.to_string().as_str()));
}
