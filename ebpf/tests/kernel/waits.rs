//! Exchanges that are under way: seen while somebody waits, and not before or after.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::RwLockReadGuard;

use ebpf::raw::Role;
use ebpf::{Family, Loaded};

use crate::support::{Attached, attached};
use crate::unanswered::{REQUEST, RESPONSE, connection, listener};

/// Since when both ends wait at this port, as far as they do.
fn waiting(loaded: &mut Loaded, port: u16) -> Vec<(u16, u64)> {
    let all = loaded.waiting(0).into_iter();
    let here = all.filter(|(key, _)| key.port == u32::from(port));
    let mut here: Vec<_> = here.map(|(key, since_ns)| (key.role, since_ns)).collect();
    here.sort_unstable();
    here
}

fn roles(waiting: &[(u16, u64)]) -> Vec<u16> {
    waiting.iter().map(|(role, _)| *role).collect()
}

fn moved(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    to.read_exact(&mut vec![0; bytes.len()]).unwrap();
}

/// A connection at this port over which the client has asked; `None` where nobody sees who waits, which is said.
fn asked() -> Option<(Attached<RwLockReadGuard<'static, ()>>, u16, TcpStream, TcpStream)> {
    let loaded = attached(Family::Status);
    if !loaded.follows_http2() {
        println!("SKIP: who waits is seen by programs of newer kernels");
        return None;
    }
    let listener = listener();
    let (mut client, mut server) = connection(&listener);
    moved(&mut client, &mut server, REQUEST);
    Some((loaded, listener.local_addr().unwrap().port(), client, server))
}

#[test]
#[ignore = "needs CAP_BPF"]
fn who_waits_is_seen_at_both_ends_until_there_is_an_answer_or_nobody_waits_any_more() {
    let Some((mut loaded, port, mut client, mut server)) = asked() else {
        return;
    };
    let both = [Role::Client as u16, Role::Server as u16];
    let first = waiting(&mut loaded, port);
    assert_eq!(roles(&first), both);
    moved(&mut server, &mut client, RESPONSE);
    assert_eq!(waiting(&mut loaded, port), [], "there is an answer");
    moved(&mut client, &mut server, REQUEST);
    let second = waiting(&mut loaded, port);
    assert_eq!(roles(&second), both);
    assert!(first[0].1 < second[0].1, "it is another wait");
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    drop(server);
    assert_eq!(waiting(&mut loaded, port), [], "nobody waits any more");
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_has_waited_since_before_what_matters_is_forgotten_and_seen_again_when_it_asks_again() {
    let Some((mut loaded, port, mut client, mut server)) = asked() else {
        return;
    };
    assert_eq!(waiting(&mut loaded, port).len(), 2);
    assert_eq!(loaded.waiting(u64::MAX), []);
    assert_eq!(waiting(&mut loaded, port), []);
    moved(&mut server, &mut client, RESPONSE);
    moved(&mut client, &mut server, REQUEST);
    assert_eq!(waiting(&mut loaded, port).len(), 2);
}
