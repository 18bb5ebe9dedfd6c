//! Queries of real databases: what they fail to do at both ends, and nothing of what is well or was asked wrongly.

use bus_schema::event::Event;
use bus_schema::event::network::Role;
use bus_schema::event::status::{DatabaseError, DatabaseSystem, HttpStats};
use observer_network::Network;

use crate::peers::{Server, has_database};
use crate::told::Told;
use crate::{ATTACHED, OBSERVER, has_loss, until_each};

/// A database, and what it says of what it has no room for.
struct Kind {
    program: &'static str,
    /// Of Python, by which its clients speak.
    module: &'static str,
    system: DatabaseSystem,
    code: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        program: "redis-server",
        module: "redis",
        system: DatabaseSystem::Redis,
        code: "OOM",
    },
    Kind {
        program: "postgres",
        module: "psycopg2",
        system: DatabaseSystem::Postgresql,
        code: "53300",
    },
    Kind {
        program: "mariadbd",
        module: "pymysql",
        system: DatabaseSystem::Mysql,
        code: "1040",
    },
];

/// The errors of one end, each once.
fn errors_of(server: &Server, events: &[Event], role: Role) -> Vec<(u16, Option<DatabaseError>)> {
    let errors = server.errors(events);
    let of_role = errors.iter().filter(|(_, error)| error.role == role);
    let mut errors: Vec<_> = of_role
        .map(|(_, error)| (error.status, error.database.clone()))
        .collect();
    errors.sort();
    errors.dedup();
    errors
}

/// Server and client of a kind, which takes these steps; what is told until as many exchanges of each end ended.
async fn play(
    kind: &Kind,
    number: u8,
    steps: &[&str],
    wanted: [u64; 2],
) -> (Server, Vec<Event>, [HttpStats; 2]) {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_database(number, kind.program);
    let mut client = server.queried(steps);
    let (events, sums) = until_each(&mut told, &server, wanted).await;
    println!("{}", client.rest());
    assert!(!has_loss(&events));
    (server, events, sums)
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_a_database_fails_to_do_is_told_by_both_ends_and_counted_exactly() {
    let _alone = ATTACHED.lock().await;
    for (number, kind) in (30..).zip(&KINDS) {
        if !has_database(kind.program, kind.module) {
            continue;
        }
        // The good ones come last: where so many have ended, the others have been told.
        let steps = ["wrong:5", "failing:7", "mute:2", "good:200"];
        let (server, events, sums) = play(kind, number, &steps, [214, 212]).await;
        for (stats, role) in sums.iter().zip([Role::Client, Role::Server]) {
            let [_, well, _, wrong, failed] = stats.by_class;
            assert_eq!((wrong, failed), (5, 7), "{} {role:?} {stats:?}", kind.program);
            assert!(well >= 200, "{} {role:?} {stats:?}", kind.program);
        }
        let [client, of_server] = sums;
        assert_eq!(client.unanswered.total(), 2, "{}", kind.program);
        assert_eq!(of_server.unanswered.total(), 0, "{}", kind.program);
        let error = |code: &str| {
            let (system, code) = (kind.system, code.into());
            Some(DatabaseError { system, code })
        };
        let (failed, mute) = ((500, error(kind.code)), (0, error("")));
        assert_eq!(errors_of(&server, &events, Role::Client), [mute, failed.clone()]);
        assert_eq!(errors_of(&server, &events, Role::Server), [failed]);
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_is_well_or_waits_on_purpose_or_only_checks_is_no_failure() {
    let _alone = ATTACHED.lock().await;
    for (number, kind) in (40..).zip(&KINDS) {
        if !has_database(kind.program, kind.module) {
            continue;
        }
        let steps: &[&str] = if kind.system == DatabaseSystem::Redis {
            &["waits:2", "checks:50", "good:1000"]
        } else {
            &["good:1000", "wrong:1"]
        };
        let (server, events, sums) = play(kind, number, steps, [1000; 2]).await;
        for stats in &sums {
            let [_, _, _, wrong, failed] = stats.by_class;
            assert!(wrong <= 1 && failed == 0, "{} {stats:?}", kind.program);
            assert!(
                stats.total() <= 1010,
                "what checks is no query: {} {stats:?}",
                kind.program
            );
            assert_eq!(stats.unanswered.total(), 0, "{}", kind.program);
            let slowest = stats.latency.quantile(1.0).unwrap();
            assert!(
                slowest < 500_000_000,
                "what waits on purpose is not slow: {} {stats:?}",
                kind.program
            );
        }
        assert_eq!(server.errors(&events), []);
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_connection_that_is_older_than_the_observer_is_known_by_what_is_asked_over_it() {
    let _alone = ATTACHED.lock().await;
    for (number, kind) in (50..).zip(&KINDS) {
        if !has_database(kind.program, kind.module) {
            continue;
        }
        let server = Server::of_database(number, kind.program);
        let mut client = server.queried(&["good:1", "later", "good:50", "wrong:5", "good:50"]);
        assert_eq!(client.line(), "good done 1");
        let mut told = Told::by::<Network>(OBSERVER).await;
        client.go_on();
        // A server of MySQL reads the headers of messages by themselves: of an older connection it is not known there.
        let at_server = if kind.system == DatabaseSystem::Mysql {
            0
        } else {
            105
        };
        let (_, [of_client, of_server]) = until_each(&mut told, &server, [105, at_server]).await;
        assert_eq!(of_client.by_class, [0, 100, 0, 5, 0], "{}", kind.program);
        assert_eq!(of_client.queries.total, 105, "{}", kind.program);
        assert!(of_server.total() == at_server, "{} {of_server:?}", kind.program);
        drop(client);
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn queries_in_tls_are_told_as_those_in_clear_text() {
    let _alone = ATTACHED.lock().await;
    if !has_database("postgres", "psycopg2") {
        return;
    }
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_database(60, "postgres");
    // What encrypts at both ends is followed from their first exchanges on.
    let first = server.queried_as("postgres-tls", &["for ever"]);
    until_each(&mut told, &server, [1; 2]).await;
    drop(first);
    let mut client = server.queried_as("postgres-tls", &["failing:7", "wrong:5", "good:100"]);
    let (events, sums) = until_each(&mut told, &server, [140; 2]).await;
    println!("{}", client.rest());
    for stats in &sums {
        let [_, well, _, wrong, failed] = stats.by_class;
        assert_eq!((wrong, failed), (5, 7), "{stats:?}");
        assert!(well >= 100, "{stats:?}");
    }
    for role in [Role::Client, Role::Server] {
        let errors = errors_of(&server, &events, role);
        let codes = errors
            .iter()
            .filter_map(|(_, error)| error.as_ref().map(|error| error.code.as_str()));
        assert_eq!(codes.collect::<Vec<_>>(), ["53300"], "{role:?}");
    }
}
