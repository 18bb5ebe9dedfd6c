//! Requests without a response: what the callee failed to answer, however the connection ended, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use ebpf::raw::{HttpError, NO_RESPONSE, Role};
use ebpf::{Family, Loaded};

use crate::status::{counted, entries_at, errors_at};
use crate::support::{attached, own_cgroup_id, records_until, wait};

pub(crate) const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Longer than it takes to want no answer, and than a tick of the kernel's clock.
const PATIENCE: Duration = Duration::from_millis(40);

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

pub(crate) fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn take(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes, "the witness's own account");
}

/// A request on a connection that the server has accepted and answers when it likes, after so many that it has answered.
fn asked(listener: &TcpListener, before: usize) -> (TcpStream, TcpStream) {
    let (mut client, mut server) = connection(listener);
    for _ in 0..before {
        client.write_all(REQUEST).unwrap();
        take(&mut server, REQUEST);
        server.write_all(RESPONSE).unwrap();
        take(&mut client, RESPONSE);
    }
    client.write_all(REQUEST).unwrap();
    (client, server)
}

/// Reads until the end, whatever that is.
fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_default();
    rest
}

fn unanswered(loaded: &mut Loaded, listener: &TcpListener) -> u64 {
    let entries = entries_at(loaded, listener.local_addr().unwrap().port());
    assert_eq!(
        counted(&entries, Role::Server, NO_RESPONSE),
        0,
        "who serves waits for no response"
    );
    counted(&entries, Role::Client, NO_RESPONSE)
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_client_that_closes_after_it_has_waited_has_given_up() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    for before in 0..2 {
        let (client, server) = asked(&listener, before);
        wait(PATIENCE);
        drop(client);
        assert_eq!(drain(server), REQUEST, "the server saw the request, and the end");
        assert_eq!(unanswered(&mut loaded, &listener), 1, "after {before} answers");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_client_that_has_sent_its_last_and_closes_after_it_has_waited_has_given_up() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    let (client, server) = asked(&listener, 0);
    client.shutdown(Shutdown::Write).unwrap();
    wait(PATIENCE);
    drop(client);
    drop(server);
    assert_eq!(unanswered(&mut loaded, &listener), 1);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_client_that_closes_at_once_wants_no_answer() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    let (client, mut server) = asked(&listener, 0);
    drop(client);
    take(&mut server, REQUEST);
    server.write_all(RESPONSE).unwrap();
    drop(server);
    let entries = entries_at(&mut loaded, listener.local_addr().unwrap().port());
    assert_eq!(counted(&entries, Role::Client, NO_RESPONSE), 0);
    assert_eq!(
        counted(&entries, Role::Server, 200),
        1,
        "it was answered all the same"
    );
}

fn is_told_of_the_client(loaded: &mut Loaded, listener: &TcpListener) -> HttpError {
    let port = listener.local_addr().unwrap().port();
    let records = records_until(loaded, |records| !errors_at(records, port).is_empty());
    let error = errors_at(&records, port)[0];
    let client = (Role::Client as u32, NO_RESPONSE, own_cgroup_id());
    assert_eq!((error.role, error.status, error.task.cgroup_id), client);
    error
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_server_that_ends_the_connection_instead_of_answering_has_not_answered() {
    let mut loaded = attached(Family::Status);
    for (reads, half_closed) in [(true, false), (true, true), (false, false), (false, true)] {
        let listener = listener();
        let (client, mut server) = asked(&listener, 0);
        if half_closed {
            client.shutdown(Shutdown::Write).unwrap();
        }
        if reads {
            take(&mut server, REQUEST);
        }
        drop(server); // with something unread this is a reset
        assert_eq!(drain(client), b"");
        let case = format!("reads: {reads}, half closed: {half_closed}");
        assert_eq!(unanswered(&mut loaded, &listener), 1, "{case}");
        is_told_of_the_client(&mut loaded, &listener);
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn who_lost_the_answer_is_told_also_when_the_server_dies_of_it() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    let (client, server) = asked(&listener, 0);
    let mut worker = Command::new("sh")
        .args(["-c", "read -r line; kill -SEGV $$"])
        .stdin(OwnedFd::from(server))
        .spawn()
        .unwrap();
    worker.wait().unwrap();
    assert_eq!(drain(client), b"");
    let error = is_told_of_the_client(&mut loaded, &listener);
    assert_ne!(
        error.task.tgid,
        worker.id(),
        "the end is seen while the worker runs, and is not its own"
    );
    assert_eq!(unanswered(&mut loaded, &listener), 1);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn leave_to_go_on_is_no_answer() {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut loaded = attached(Family::Status);
    let listener = listener();
    let (mut client, mut server) = asked(&listener, 0);
    take(&mut server, REQUEST);
    server.write_all(CONTINUE).unwrap();
    take(&mut client, CONTINUE);
    drop(server);
    assert_eq!(drain(client), b"");
    assert_eq!(unanswered(&mut loaded, &listener), 1);
    // control: with the answer behind it, in the same read
    let (mut client, mut server) = asked(&listener, 0);
    take(&mut server, REQUEST);
    server.write_all(CONTINUE).unwrap();
    server.write_all(RESPONSE).unwrap();
    take(&mut client, &[CONTINUE, RESPONSE].concat());
    drop(server);
    assert_eq!(drain(client), b"");
    let entries = entries_at(&mut loaded, listener.local_addr().unwrap().port());
    for role in [Role::Client, Role::Server] {
        let of = |status| counted(&entries, role, status);
        assert_eq!((of(NO_RESPONSE), of(200)), (0, 1), "{role:?}");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_is_sent_on_after_an_early_answer_is_no_request() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    let (mut client, mut server) = connection(&listener);
    let head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2048\r\n\r\n";
    client.write_all(head).unwrap();
    take(&mut server, head);
    let early = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n";
    server.write_all(early).unwrap();
    take(&mut client, early);
    client.write_all(&[b'x'; 1024]).unwrap();
    wait(PATIENCE);
    drop(server);
    assert_eq!(drain(client), b"");
    let entries = entries_at(&mut loaded, listener.local_addr().unwrap().port());
    let of = |status| counted(&entries, Role::Client, status);
    assert_eq!((of(NO_RESPONSE), of(413)), (0, 1));
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_client_with_the_beginning_of_an_answer_or_no_life_left_has_an_answer_or_wants_none() {
    let mut loaded = attached(Family::Status);
    let listener = listener();
    for sends_no_more in [true, false] {
        let (mut client, mut server) = asked(&listener, 0);
        if sends_no_more {
            client.shutdown(Shutdown::Write).unwrap();
        }
        server.write_all(b"HTTP/1.1 ").unwrap();
        take(&mut client, b"HTTP/1.1 "); // too little for a status line
        wait(PATIENCE);
        drop(client);
    }
    // an answer that nobody has taken before the connection ends
    let (client, mut server) = asked(&listener, 0);
    take(&mut server, REQUEST);
    server.write_all(RESPONSE).unwrap();
    drop(server);
    wait(PATIENCE);
    drop(client);

    let (client, mut server) = asked(&listener, 0);
    let mut child = Command::new("sleep")
        .arg("1000")
        .stdin(OwnedFd::from(client))
        .spawn()
        .unwrap();
    take(&mut server, REQUEST);
    wait(PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    drain(server);

    assert_eq!(unanswered(&mut loaded, &listener), 0);
    let (client, _server) = asked(&listener, 0);
    wait(PATIENCE);
    drop(client);
    assert_eq!(unanswered(&mut loaded, &listener), 1, "it would have been seen");
}
