//! Changes of a real API server, one by one: each is told once, with the exact difference, whom it affects and who made it; and what
//! is no change is not told. Needs the binaries of `deploy/lab/cluster build`; is skipped, and counted, without them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips, in its helpers too"
)]

mod cases;
#[path = "../../../base/tests/harness/context.rs"]
mod context;
mod fence;
mod interruptions;
mod link;
mod observed;
mod server;
mod tokens;
mod told;
mod wait;

use std::io::Write;
use std::path::PathBuf;

use fence::Fence;
use observed::{Observed, client};
use server::Server;
use wait::wait_for;

/// One control plane at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the binaries are; without them the test says that it is skipped.
fn binaries() -> Option<PathBuf> {
    let found = server::binaries();
    if let Err(reason) = &found {
        println!("SKIP: changes of a real API server: {reason}");
        if let Some(path) = std::env::var_os("TAPIO_SKIPS") {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            writeln!(file.unwrap(), "SKIP: changes of a real API server: {reason}").unwrap();
        }
    }
    found.ok()
}

/// A shop that is there before the observer.
async fn shop(server: &Server) -> Fence {
    let admin = client(server.kubeconfig("admin")).await;
    let fence = Fence::new(server, admin);
    server.kubectl("kubectl create namespace shop");
    let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/changes/shop.yaml");
    server.kubectl(&format!("kubectl -n shop apply -f {shop}"));
    server.kubectl("kubectl config set-context --current --namespace=shop");
    fence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_by_kubectl_is_told_once_with_its_difference() {
    let Some(binaries) = binaries() else { return };
    let _turn = TURN.lock().await;
    let server = Server::start(&binaries, true).await;
    let mut fence = shop(&server).await;
    // Revisions are made by controllers, and a rollback is known by them.
    server.kubectl("kubectl wait --for=jsonpath='{.metadata.annotations.deployment\\.kubernetes\\.io/revision}'=1 deployment/web --timeout=60s");
    let observed = Observed::start(server.kubeconfig("observer")).await;
    assert_eq!(
        fence.told(&observed).await,
        Vec::<String>::new(),
        "the first list"
    );
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases::all() {
        server.kubectl(case.does);
        // Each template has to become a revision before the next: by them a rollback is known.
        wait_for("the controller has seen the Deployment web", || {
            let generations = "kubectl get deployment web --ignore-not-found -o jsonpath='{.metadata.generation} {.status.observedGeneration}'";
            let generations = server.kubectl(generations);
            let mut generations = generations.split_whitespace();
            generations.next() == generations.next()
        })
        .await;
        let mut told = fence.told(&observed).await;
        told.sort();
        // Who is not known is not called by any name.
        let expected: Vec<_> = case.told.iter().map(|line| line.replace("by *", "by ")).collect();
        if told != expected {
            wrong.push(format!(
                "{}\n  expected {expected:#?}\n  told {told:#?}",
                case.does
            ));
        }
        count += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{count} changes and controls");
}
