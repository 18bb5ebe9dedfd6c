//! Work that blocks keeps its lease; who is stopped or overtaken loses it and does nothing more.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use bus_client::{Bus, listing, streams};
use bus_schema::names::{LEASE_RENEWAL, LEASE_TTL, LEASES_BUCKET};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::echo::{Member, ready, said, tell};
use crate::wait_for;

/// Renewals while work blocks: three times what a lease lasts without one.
const RENEWALS: u64 = 3 * LEASE_TTL.as_secs() / LEASE_RENEWAL.as_secs();
const CHILD_URL: &str = "TAPIO_TEST_MEMBER_OF";

/// Waits until somebody has said a line that contains all of `parts`.
async fn hear(bus: &Bus, parts: &[&str]) {
    let what = parts.join(" … ");
    wait_for(&what, async || {
        let is_it = |line: &String| parts.iter().all(|part| line.contains(part));
        said(bus).await.iter().any(is_it)
    })
    .await;
}

/// Who holds a partition.
async fn holder(bus: &Bus, partition: u16) -> Option<String> {
    let bucket = streams::bucket(bus, LEASES_BUCKET).await.unwrap();
    let value = bucket.get(format!("echo.lease.{partition}")).await.ok()??;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn work_that_blocks_keeps_its_lease_says_that_it_is_behind_and_holds_nobody_up() {
    let (_server, bus, url) = ready().await;
    let member = Member::start::<1>(&url, "one").await;
    tell(&bus, 0, "block").await;
    wait_for("the work blocks", async || {
        member.gate.blocked.load(Ordering::SeqCst) == 1
    })
    .await;
    for number in 0..10 {
        tell(&bus, 0, &format!("later {number}")).await;
    }
    let bucket = streams::bucket(&bus, LEASES_BUCKET).await.unwrap();
    let mut renewals = bucket.watch("echo.lease.0").await.unwrap();
    for number in 0..RENEWALS {
        let renewal = renewals.next().await.unwrap().unwrap();
        assert_eq!(
            (renewal.operation, &*renewal.value),
            (async_nats::jetstream::kv::Operation::Put, &b"one"[..])
        );
        tell(&bus, 1, &format!("meanwhile {number}.")).await;
        hear(&bus, &["one", &format!("meanwhile {number}.")]).await;
        let keys = listing::keys(&bus, &bucket, "echo.>").await.unwrap();
        assert!(keys.contains(&"echo.member.one".to_owned()), "{keys:?}");
    }
    wait_for("what waits was read", async || {
        member.shows(r#"tapio_test_queue_depth{stage="echo",partition="0"} 10"#)
    })
    .await;
    wait_for("it says that it is behind", async || {
        let missing = member.process.readiness.missing();
        missing
            .get("echo/0")
            .is_some_and(|why| why.contains("does not keep up"))
            && !missing.contains_key("echo/1")
    })
    .await;
    member.gate.open();
    hear(&bus, &["one instance", "later 9", "lost [behind]"]).await;
    wait_for("it is ready again", async || {
        member.process.readiness.missing().is_empty()
    })
    .await;
    assert_eq!(
        member.gate.begun.load(Ordering::SeqCst),
        2,
        "each partition was taken once"
    );
    assert!(member.shows(r#"tapio_test_leases_lost_total{stage="echo"} 0"#));
    assert!(member.process.vitals.failing(Instant::now()).is_empty());
    member.end().await;
    assert_eq!(holder(&bus, 0).await, None, "given back");
}

#[tokio::test]
async fn who_lost_its_lease_while_its_work_was_stuck_publishes_nothing_of_it() {
    let (_server, bus, url) = ready().await;
    let member = Member::start::<1>(&url, "one").await;
    tell(&bus, 0, "block").await;
    wait_for("the work blocks", async || {
        member.gate.blocked.load(Ordering::SeqCst) == 1
    })
    .await;
    let bucket = streams::bucket(&bus, LEASES_BUCKET).await.unwrap();
    bucket.put("echo.lease.0", "somebody".into()).await.unwrap();
    wait_for("the loss is noticed", async || {
        member.shows(r#"tapio_test_leases_lost_total{stage="echo"} 1"#)
    })
    .await;
    assert!(
        !member.shows(r#"tapio_test_queue_depth{stage="echo",partition="0"} 0"#),
        "its series are gone"
    );
    member.gate.open();
    wait_for("the stuck work has ended", async || {
        member.gate.ended.load(Ordering::SeqCst) > 0
    })
    .await;
    // The lease of somebody ends, and the partition begins again from its last checkpoint: there is none.
    hear(&bus, &["instance 2 heard block, 1 so far"]).await;
    let lines = said(&bus).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    member.end().await;
}

#[tokio::test]
async fn work_that_panics_makes_the_process_unhealthy_and_is_named() {
    let (_server, bus, url) = ready().await;
    let member = Member::start::<1>(&url, "one").await;
    tell(&bus, 1, "well").await;
    hear(&bus, &["well"]).await;
    assert!(member.process.vitals.failing(Instant::now()).is_empty());
    tell(&bus, 1, "panic").await;
    wait_for("the process is unhealthy", async || {
        let failing = member.process.vitals.failing(Instant::now());
        failing
            .iter()
            .any(|(what, why)| what.starts_with("echo/1") && why == "panicked")
    })
    .await;
    member.end().await;
}

/// A member in a process of its own; killed when dropped.
struct OtherProcess(Child);

impl OtherProcess {
    fn start(url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "leases::a_member_of_its_own", "--ignored"]);
        command.env(CHILD_URL, url).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let kill = kill.args(["-s", signal, &self.0.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
#[ignore = "the other process of the next test"]
async fn a_member_of_its_own() {
    if let Ok(url) = std::env::var(CHILD_URL) {
        let member = Member::start::<1>(&url, "other").await;
        member.process.stop.cancelled().await;
    }
}

#[tokio::test]
async fn a_member_that_is_stopped_loses_its_partitions_and_finds_out_before_it_does_anything() {
    let (_server, bus, url) = ready().await;
    let other = OtherProcess::start(&url);
    for partition in [0, 1] {
        tell(&bus, partition, "before").await;
        hear(&bus, &["other", "before"]).await;
        assert_eq!(holder(&bus, partition).await.as_deref(), Some("other"));
    }
    other.signal("STOP");
    // It waits in the other's socket until that goes on.
    tell(&bus, 0, "meanwhile").await;
    let member = Member::start::<1>(&url, "one").await;
    hear(&bus, &["one", "meanwhile"]).await;
    other.signal("CONT");
    wait_for("each has its share", async || {
        let holders = [holder(&bus, 0).await, holder(&bus, 1).await].map(Option::unwrap_or_default);
        holders.iter().any(|name| name == "one") && holders.iter().any(|name| name == "other")
    })
    .await;
    let lines = said(&bus).await;
    let meanwhile: Vec<_> = lines.iter().filter(|line| line.contains("meanwhile")).collect();
    assert_eq!(meanwhile.len(), 1, "{lines:?}");
    member.end().await;
}
