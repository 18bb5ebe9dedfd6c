//! Calls of HTTP in TLS: as in clear text.

use std::process::{Command, Stdio};

use bus_schema::event::Body;
use bus_schema::event::Event;
use bus_schema::event::network::Role;
use bus_schema::event::node::Coverage;
use observer_network::Network;

use crate::peers::Server;
use crate::program::Program;
use crate::told::Told;
use crate::{ATTACHED, OBSERVER, has_loss, until_both, until_each};

/// Waits until exchanges of a server are counted at both ends: what encrypts them is followed from then on.
async fn until_followed(told: &mut Told, server: &Server) {
    let client = server.asked(&["for ever"]);
    until_both(told, server, 1).await;
    drop(client);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn failures_in_tls_are_told_by_both_ends_and_counted_exactly() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    until_followed(&mut told, &Server::of_https(11, "tls-first")).await;
    let server = Server::of_https(12, "tls-fails");
    let mut client = server.asked(&[
        "good:50",
        "missing:5",
        "broken:7",
        "large:3",
        "last:20",
        "mute:2",
        "good:1",
    ]);
    let (events, sums) = until_each(&mut told, &server, [88, 86]).await;
    let pids = [client.pid(), server.peer.pid()];
    assert_eq!(
        client.rest(),
        "good 200 50\nmissing 404 5\nbroken 500 7\nlarge 200 3\nlast 200 20\nmute TimeoutError 2\ngood 200 1\n"
    );
    for stats in &sums {
        assert_eq!(stats.by_class, [0, 74, 0, 5, 7], "{:?}", stats.role);
    }
    assert_eq!(sums.map(|stats| stats.unanswered.total()), [2, 0]);
    assert!(!has_loss(&events));
    for (role, pid) in [Role::Client, Role::Server].into_iter().zip(pids) {
        let errors = server.errors(&events);
        let mut statuses: Vec<_> = errors
            .iter()
            .filter(|(_, error)| error.role == role)
            .map(|(event, error)| {
                assert_eq!(event.subject.process.as_ref().unwrap().pid, pid);
                error.status
            })
            .collect();
        statuses.dedup();
        let expected: &[u16] = if role == Role::Client { &[500, 0] } else { &[500] };
        assert_eq!(statuses, expected, "{role:?}");
    }
    assert_eq!(server.calls()["broken"], 7, "the witness's own account");
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_is_well_in_tls_is_counted_and_told_by_nobody() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    until_followed(&mut told, &Server::of_https(13, "tls-first")).await;
    let server = Server::of_https(14, "tls-good");
    let mut clients: Vec<Program> = (0..4).map(|_| server.asked(&["good:250"])).collect();
    let (events, sums) = until_both(&mut told, &server, 1000).await;
    for client in &mut clients {
        assert_eq!(client.rest(), "good 200 250\n");
    }
    assert!(
        sums.iter().all(|stats| stats.by_class == [0, 1000, 0, 0, 0]),
        "{sums:?}"
    );
    assert_eq!(server.errors(&events), []);
    assert!(!has_loss(&events));
}

/// A program that asks for this; `None` where it is missing, which is said.
fn fetch(program: &[&str], url: &str) -> Option<u32> {
    let (name, arguments) = program.split_first()?;
    let mut command = Command::new(name);
    command.args(arguments).arg(url);
    let Ok(mut client) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        println!("SKIP: {name} is missing");
        return None;
    };
    let pid = client.id();
    client.wait().unwrap();
    Some(pid)
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_asks_by_another_library_sees_what_its_server_says() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    until_followed(&mut told, &Server::of_https(17, "tls-first")).await;
    // curl has OpenSSL, wget has GnuTLS.
    for program in [
        &["curl", "--insecure", "--http1.1"][..],
        &[
            "wget",
            "--no-check-certificate",
            "--output-document=-",
            "--tries=1",
        ],
    ] {
        let server = Server::of_https(15, "tls-others");
        let mut pids = Vec::new();
        let is_seen = |event: &Event, pids: &[u32]| {
            let errors = server.errors(std::slice::from_ref(event));
            let mut errors = errors.iter().filter(|(_, error)| error.role == Role::Client);
            errors.any(|(event, error)| {
                let pid = event.subject.process.as_ref().unwrap().pid;
                assert!(pids.contains(&pid));
                error.status == 500
            })
        };
        let mut is_over = false;
        while !is_over {
            let Some(pid) = fetch(program, &server.url("broken")) else {
                return;
            };
            pids.push(pid);
            assert!(pids.len() < 100, "{program:?}");
            // A second is over: what there was to see was seen.
            let events = told.until(|event| matches!(event.body, Body::HttpStats(_))).await;
            is_over = events.iter().any(|event| is_seen(event, &pids));
        }
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn of_who_encrypts_in_memory_it_is_said_that_nothing_is_known() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_https(16, "tls-memory");
    let client = server.asked_in_memory();
    let events = told
        .until(|event| {
            let Body::Capability(capability) = &event.body else {
                return false;
            };
            capability.hook == "tls" && capability.coverage == Coverage::Degraded
        })
        .await;
    let mut errors = server.errors(&events).into_iter();
    assert!(errors.all(|(_, error)| error.role == Role::Server));
    drop(client);
}
