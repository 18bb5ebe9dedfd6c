//! The users: their rate whatever the answers are, their retries, and their report.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Role, entries};

/// An HTTP server that answers every connection with one status and counts them.
fn answering(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), status);
        }
    });
    (target, count)
}

fn answer(mut stream: TcpStream, status: &str) {
    let mut head = [0; 1024];
    assert!(stream.read(&mut head).unwrap() > 0);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
}

/// A listener that takes connections and never answers.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    target
}

fn run(args: &[&str]) -> Value {
    let lines = Role::start(&[&["users"], args].concat()).lines_to_the_end();
    let total = lines.last().unwrap().clone();
    assert_eq!(total["total"], true);
    total
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap()
}

#[test]
fn the_rate_is_kept_though_nothing_is_answered() {
    let total = run(&[
        "--target",
        &silent(),
        "--rate",
        "200",
        "--duration",
        "2s",
        "--timeout",
        "1s",
        "--retries",
        "0",
    ]);
    let sent = number(&total, "sent");
    assert!((380..=402).contains(&sent), "{total}");
    assert_eq!((number(&total, "ok"), number(&total, "failed")), (0, sent));
}

#[test]
fn beyond_its_connections_a_due_request_is_counted_and_not_sent() {
    let total = run(&[
        "--target",
        &silent(),
        "--connections",
        "5",
        "--duration",
        "1s",
        "--retries",
        "0",
    ]);
    assert_eq!(number(&total, "sent"), 5);
    assert!(number(&total, "overrun") > 80, "{total}");
}

#[test]
fn a_500_is_tried_again_at_once_and_every_try_is_counted() {
    let (target, seen) = answering("500 Internal Server Error");
    let total = run(&[
        "--target",
        &target,
        "--rate",
        "50",
        "--duration",
        "1s",
        "--retries",
        "2",
    ]);
    let sent = number(&total, "sent");
    assert_eq!(number(&total, "failed"), sent);
    assert_eq!(number(&total, "attempts"), 3 * sent);
    assert_eq!(seen.load(Ordering::SeqCst) as u64, 3 * sent);
}

#[test]
fn a_404_is_an_answer_and_not_tried_again() {
    let (target, seen) = answering("404 Not Found");
    let total = run(&[
        "--target",
        &target,
        "--rate",
        "50",
        "--duration",
        "1s",
        "--retries",
        "2",
    ]);
    assert_eq!(number(&total, "ok"), number(&total, "sent"));
    assert_eq!(seen.load(Ordering::SeqCst) as u64, number(&total, "sent"));
}

#[test]
fn a_target_that_is_gone_is_tried_as_often_as_configured() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("users.log");
    let target = format!("http://{nobody}");
    let total = run(&[
        "--target",
        &target,
        "--rate",
        "20",
        "--duration",
        "500ms",
        "--access-log",
        log.to_str().unwrap(),
    ]);
    let entries = entries(&log);
    assert_eq!(entries.len() as u64, number(&total, "sent"));
    assert!(
        entries
            .iter()
            .all(|entry| entry["outcomes"] == serde_json::json!(["unconnected", "unconnected"]))
    );
}

#[test]
fn each_second_is_one_line_and_sigterm_prints_the_total() {
    let (target, _) = answering("200 OK");
    let mut users = Role::start(&["users", "--target", &target]);
    let first = users.line();
    assert_eq!(
        (first["second"].as_u64(), first["total"].as_bool()),
        (Some(1), Some(false))
    );
    assert!(number(&first, "ok") > 90, "{first}");
    assert!(first["p50_ms"].as_f64() <= first["p99_ms"].as_f64());
    users.signal(Signal::TERM);
    let total = users.lines_to_the_end().pop().unwrap();
    assert_eq!(
        (total["total"].as_bool(), total["failed"].as_u64()),
        (Some(true), Some(0))
    );
    assert_eq!(total["ok"], total["sent"]);
}
