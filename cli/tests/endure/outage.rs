//! The bus is away from the start, or the disk is full: observers bridge it, count what they must drop, and say so.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bus_schema::names::{ENRICHED_STREAM, events_subject, partition_stream};
use cli::port::Port;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio::time::Instant;

use crate::account::Account;
use crate::poison::{arrives, batch, header, publish};
use crate::server::Server;
use crate::stage::Stage;
use crate::story::{Stages, drained};
use crate::{host, wait_for};

/// All goes to disk.
const NO_MEMORY: (&str, &str) = ("TAPIO_BUFFER_BYTES", "0");

#[tokio::test]
async fn observers_start_without_a_bus_and_lose_nothing_until_it_comes() {
    let mut server = Server::absent();
    let observers = ["tapio-memory", "tapio-process", "tapio-network"];
    let mut observers = observers.map(|program| Stage::start(program, &server, &[NO_MEMORY]));
    for observer in &observers {
        wait_for("it spools", async || !observer.spooled().is_empty()).await;
        let (status, why) = observer.get("/readyz").unwrap();
        assert_eq!(status, 503);
        assert!(
            why.contains(&format!("not connected to {}", server.url())),
            "{why}"
        );
        assert_eq!(observer.get("/healthz").unwrap().0, 200);
    }
    // What is on disk outlives its process.
    observers[0].kill();
    observers[0].revive();
    wait_for("it lives again", async || observers[0].get("/readyz").is_some()).await;
    server.revive();
    for observer in &observers {
        observer.ready().await;
        assert!(
            !observer.spooled().is_empty(),
            "there is no stream that would take it"
        );
    }
    server.provision().await;
    for observer in &observers {
        wait_for("its spool drains", async || observer.spooled().is_empty()).await;
    }
    // On a busy host an observer's first event may come later than the bus.
    let bus = server.connect().await;
    for observer in ["memory", "process-signals", "network"] {
        wait_for(&format!("{observer} has arrived"), async || {
            let producers = Account::of(&bus).await.producers;
            producers.iter().any(|producer| producer.contains(observer))
        })
        .await;
    }
    let account = Account::of(&bus).await;
    println!("{account:?}");
    assert_eq!((account.missing, account.lost), (0, 0), "{account:?}");
}

#[tokio::test]
async fn a_bus_that_comes_back_without_its_store_is_furnished_and_read_again() {
    let mut stages = Stages::start().await;
    let subject = events_subject("n", "memory");
    publish(&stages, &subject, batch(&header(1))).await;
    arrives(&stages, 1, ENRICHED_STREAM).await;
    drained(&stages.bus, 1).await;
    stages.server.kill();
    stages.server.lose_store();
    stages.server.revive();
    wait_for("the streams are there", async || {
        let stream = partition_stream(ENRICHED_STREAM, 0);
        stages.bus.jetstream().get_stream(stream).await.is_ok()
    })
    .await;
    publish(&stages, &subject, batch(&header(2))).await;
    arrives(&stages, 2, ENRICHED_STREAM).await;
}

#[tokio::test]
async fn a_person_who_asks_an_absent_or_silent_bus_has_one_sentence_within_five_seconds() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let absent = Port::keep().unwrap();
    for address in [absent.address(), silent.local_addr().unwrap()] {
        let begin = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapio"));
        let url = format!("nats://{address}");
        let output = command.args(["--nats-url", &url, "incidents"]).output().unwrap();
        let took = begin.elapsed();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("no NATS at"), "{said}");
    }
}

/// A file system that is full soon.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        mount("none", &path, "tmpfs", MountFlags::empty(), Some(c"size=64k")).unwrap();
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap_or_default();
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_full_disk_costs_the_oldest_which_are_counted_and_told() {
    let _alone = host::TRAFFIC.write().await;
    let mut server = Server::absent();
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path().to_owned());
    let state = disk.0.to_str().unwrap().to_owned();
    let mut observer = Stage::start(
        "tapio-network",
        &server,
        &[
            NO_MEMORY,
            ("TAPIO_STATE_DIR", &state),
            ("TAPIO_OBSERVERS", "network"),
        ],
    );
    wait_for("it observes", async || observer.log().contains("started")).await;
    let closed = Port::keep().unwrap();
    let mut hosts = (1..=u8::MAX).cycle();
    wait_for("the disk is full", async || {
        // Each pair of ends is an event of its own.
        for host in hosts.by_ref().take(100) {
            drop(TcpStream::connect((
                Ipv4Addr::new(127, 0, 1, host),
                closed.number(),
            )));
        }
        observer.metric(&["events_dropped", "disk_error"]) > 0
    })
    .await;
    assert!(observer.lives());
    server.revive();
    server.provision().await;
    observer.ready().await;
    wait_for("its spool drains", async || {
        crate::stage::files(&disk.0).is_empty()
    })
    .await;
    let bus = server.connect().await;
    wait_for("the loss is told", async || Account::of(&bus).await.lost > 0).await;
    observer.end();
    let account = Account::of(&bus).await;
    println!("{account:?}");
    assert_eq!(
        account.missing, account.lost,
        "what is missing is what was counted: {account:?}"
    );
    assert!(
        account.losses.keys().all(|reason| reason == "disk_error"),
        "{account:?}"
    );
}

/// The same on a disk that others fill: nothing of ours can make room.
#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_disk_that_others_have_filled_does_not_stop_the_process() {
    let server = Server::absent();
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path().to_owned());
    let mut filler = std::fs::File::create(disk.0.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let state = disk.0.to_str().unwrap().to_owned();
    let mut observer = Stage::start("tapio-memory", &server, &[NO_MEMORY, ("TAPIO_STATE_DIR", &state)]);
    wait_for("it counts", async || {
        observer.metric(&["events_dropped", "disk_error"]) > 0
    })
    .await;
    assert!(observer.lives());
    observer.end();
}
