//! Heads that are handed over in parts, and those that nobody can read.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ebpf::raw::Role;
use ebpf::{Family, Loaded, Unread};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};

use crate::status::{counted, entries_at};
use crate::support::{attached, wait};

/// Sends all parts by one system call.
fn send(stream: &mut TcpStream, parts: &[&[u8]]) -> io::Result<()> {
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let sent = stream.write_vectored(&slices)?;
    assert_eq!(sent, parts.concat().len());
    Ok(())
}

fn connection() -> (TcpStream, TcpStream, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let client = TcpStream::connect(at).unwrap();
    (client, listener.accept().unwrap().0, at.port())
}

fn take(stream: &mut TcpStream, length: usize) {
    stream.read_exact(&mut vec![0; length]).unwrap();
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_head_in_several_buffers_is_read() {
    let requests: [&[&[u8]]; 3] = [
        &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
        &[b"GET", b" /", b" HTTP/1.1\r\n", b"Host: x\r\n\r\n"],
        &[b"", b"G", b"ET /a/longer/path", b" HTTP/1.1\r\nHost: x\r\n\r\n"],
    ];
    let responses: [&[&[u8]]; 3] = [
        &[
            b"HTTP/1.1 500 ",
            b"Internal Server Error",
            b"\r\n",
            b"Content-Length: 0\r\n\r\n",
        ],
        &[b"HTTP", b"/1.1 ", b"500", b" Error\r\nContent-Length: 0\r\n\r\n"],
        &[b"", b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n"],
    ];
    let mut loaded = attached(Family::Status);
    for request in requests {
        for response in responses {
            let (mut client, mut server, port) = connection();
            send(&mut client, request).unwrap();
            take(&mut server, request.concat().len());
            send(&mut server, response).unwrap();
            take(&mut client, response.concat().len());
            let entries = entries_at(&mut loaded, port);
            for role in [Role::Client, Role::Server] {
                assert_eq!(
                    counted(&entries, role, 500),
                    1,
                    "{role:?} {request:?} {response:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_status_line_that_is_sent_by_itself_is_read_and_a_word_that_begins_like_one_is_not() {
    let mut loaded = attached(Family::Status);
    for (first, rest, errors) in [
        (
            &b"HTTP/1.1 500 "[..],
            &b"Internal Server Error\r\nContent-Length: 0\r\n\r\n"[..],
            1,
        ),
        (b"http is old ", b"and this is no answer in it\r\n\r\n", 0),
    ] {
        let (mut client, mut server, port) = connection();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        take(&mut server, 27);
        server.write_all(first).unwrap();
        take(&mut client, first.len());
        server.write_all(rest).unwrap();
        take(&mut client, rest.len());
        let entries = entries_at(&mut loaded, port);
        for role in [Role::Client, Role::Server] {
            assert_eq!(counted(&entries, role, 500), errors, "{role:?}");
        }
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_head_that_is_sent_word_by_word_is_read_and_an_empty_line_before_it_is_none_of_its_words() {
    let mut loaded = attached(Family::Status);
    if !sees_every_call(&loaded) {
        return;
    }
    let (mut client, mut server, port) = connection();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let say = |from: &mut TcpStream, to: &mut TcpStream, words: &[&str]| {
        for word in words {
            from.write_all(word.as_bytes()).unwrap();
            take(to, word.len());
        }
    };
    let request = ["GET", " ", "/", " HTTP/1.1\r\n", "Host: x\r\n\r\n"];
    for status in ["500", "503"] {
        say(&mut client, &mut server, &request);
        say(
            &mut server,
            &mut client,
            &["HTTP/1.1 ", status, " ", "No\r\n", "Content-Length: 0\r\n\r\n"],
        );
    }
    say(
        &mut client,
        &mut server,
        &["\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    );
    say(&mut server, &mut client, &["HTTP/1.1 502 No\r\n\r\n"]);
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        let of = |status| counted(&entries, role, status);
        assert_eq!((of(500), of(503), of(502)), (1, 1, 1), "{role:?}");
    }
}

/// Two exchanges of one connection are over before the kernel's clock ticks.
#[test]
#[ignore = "needs CAP_BPF"]
fn an_error_right_behind_a_success_is_an_error() {
    let mut loaded = attached(Family::Status);
    let (mut client, mut server, port) = connection();
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..20 {
        for status in ["200 OK", "500 No"] {
            client.write_all(request).unwrap();
            take(&mut server, request.len());
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            server.write_all(response.as_bytes()).unwrap();
            take(&mut client, response.len());
        }
        wait(Duration::from_nanos(2 * ebpf::TICK_NS));
    }
    let entries = entries_at(&mut loaded, port);
    for role in [Role::Client, Role::Server] {
        let of = |status| counted(&entries, role, status);
        assert_eq!((of(200), of(500)), (20, 20), "{role:?}");
    }
}

/// Whether only the socket's own tracepoints see all system calls alike.
fn sees_every_call(loaded: &Loaded) -> bool {
    let mut reports = loaded.reports().iter();
    reports.any(|report| report.hook == "sock_send_length" && report.rung.is_some() && !report.superseded)
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const ERROR: &[u8] = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";

/// An error that a server sends in this way; whether its status is known on the server's side, and whether something could
/// not be read.
fn known_of(loaded: &mut Loaded, answer: impl FnOnce(TcpStream) -> TcpStream) -> (bool, bool) {
    let before = loaded.unread_total(Unread::Http).unwrap();
    let (mut client, mut server, port) = connection();
    client.write_all(REQUEST).unwrap();
    take(&mut server, REQUEST.len());
    let _server = answer(server);
    take(&mut client, ERROR.len());
    let entries = entries_at(loaded, port);
    let of = |role| counted(&entries, role, 500);
    assert_eq!(of(Role::Client), 1, "its client reads it in any case");
    (
        of(Role::Server) == 1,
        loaded.unread_total(Unread::Http).unwrap() > before,
    )
}

#[test]
#[ignore = "needs CAP_BPF"]
fn an_answer_out_of_a_file_is_counted_as_unread_and_one_out_of_memory_is_read() {
    let mut loaded = attached(Family::Status);
    if !sees_every_call(&loaded) {
        return;
    }
    let known = known_of(&mut loaded, |mut server| {
        server.write_all(ERROR).unwrap();
        server
    });
    assert_eq!(known, (true, false));
    let known = known_of(&mut loaded, |server| {
        let file = memfd_create("answer", MemfdFlags::empty()).unwrap();
        rustix::io::write(&file, ERROR).unwrap();
        let sent = sendfile(&server, &file, Some(&mut 0), ERROR.len());
        assert_eq!(sent, Ok(ERROR.len()));
        server
    });
    assert_eq!(known, (false, true));
}

/// Sends its argument on its standard input by `io_uring`.
const SEND: &str = r#"
import ctypes, mmap, os, struct, sys
call, parameters, answer = ctypes.CDLL(None).syscall, ctypes.create_string_buffer(120), os.fsencode(sys.argv[1])
ring = call(425, 4, parameters)
if ring < 0:
    sys.exit(77)
tail, array = (struct.unpack_from("I", parameters, 40 + 4 * i)[0] for i in (1, 6))
queue = mmap.mmap(ring, array + 16, offset=0)
entries = mmap.mmap(ring, 4 * 64, offset=0x10000000)
kept = ctypes.create_string_buffer(answer, len(answer))
struct.pack_into("BBHiQQI", entries, 0, 26, 0, 0, 0, 0, ctypes.addressof(kept), len(answer))
struct.pack_into("I", queue, tail, 1)
call(426, ring, 1, 1, 1, None, 0)
"#;

#[test]
#[ignore = "needs CAP_BPF"]
fn an_answer_by_io_uring_is_counted_as_unread() {
    let mut loaded = attached(Family::Status);
    let python = Path::new("/usr/bin/python3");
    if !sees_every_call(&loaded) || !python.exists() {
        return;
    }
    let mut is_refused = false;
    let known = known_of(&mut loaded, |mut server| {
        let answer = str::from_utf8(ERROR).unwrap();
        let input = OwnedFd::from(server.try_clone().unwrap());
        let sender = Command::new(python)
            .args(["-c", SEND, answer])
            .stdin(input)
            .status();
        is_refused = sender.unwrap().code() == Some(77); // the kernel may not have it
        if is_refused {
            server.write_all(ERROR).unwrap();
        }
        server
    });
    assert_eq!(known, (is_refused, !is_refused));
}
