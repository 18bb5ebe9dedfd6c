//! `tapio ping` says whether an event comes through, and why not.

use std::process::{Command, Output};

use crate::server::Server;
use crate::stage::{Stage, beside};

fn ping(server: &Server) -> Output {
    Command::new(beside("tapio"))
        .args(["ping", "--patience", "2s"])
        .env("TAPIO_NATS_URL", server.url())
        .output()
        .unwrap()
}

#[tokio::test]
async fn an_event_comes_through_where_an_enricher_runs_and_nowhere_else() {
    let server = Server::start();
    let mut enricher = Stage::start("tapio-enricher", &server, &[]);
    enricher.ready().await;
    let through = ping(&server);
    assert!(through.status.success(), "{through:?}");
    enricher.end();
    let alone = ping(&server);
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert_eq!(alone.status.code(), Some(69), "{said}");
    assert!(said.contains("no enricher has passed it on within 2 s"), "{said}");
}
