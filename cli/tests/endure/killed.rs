//! A stage that is killed at any moment of the story changes nothing of what is told.

use std::collections::BTreeMap;

use bus_schema::{EventId, Incident};

use crate::account::Account;
use crate::demo::{Demo, Kept, Moment};
use crate::server::{self, newest, revisions};
use crate::story::{Stages, Story, tell};

const STAGES: [&str; 2] = ["tapio-enricher", "tapio-correlator"];

/// Tells the story to fresh stages, one of which is killed at a moment; gives every revision as bytes.
async fn told(story: &Story, killed: Option<(&str, Moment)>) -> Vec<(String, Vec<u8>)> {
    let mut stages = Stages::start().await;
    let mut rest = story.all();
    if let Some((victim, moment)) = killed {
        rest = story.tell_until(&stages.bus, moment).await;
        let stage = if victim == "tapio-enricher" {
            &mut stages.enricher
        } else {
            &mut stages.correlator
        };
        stage.kill();
        stage.revive();
    }
    tell(&stages.bus, rest).await;
    stages.drained().await;
    let all = revisions(&stages.bus).await;
    is_each_once(&all, &newest(&stages.bus).await);
    server::published(&stages.bus).await
}

/// Every revision of every incident once, in order, and the last of each in the bucket.
fn is_each_once(all: &[Incident], newest: &[Incident]) {
    let mut seen: BTreeMap<EventId, u32> = BTreeMap::new();
    for incident in all {
        let last = seen.entry(incident.id).or_default();
        assert_eq!(incident.revision, *last + 1, "{}", incident.id);
        *last = incident.revision;
    }
    let kept: BTreeMap<_, _> = newest
        .iter()
        .map(|incident| (incident.id, incident.revision))
        .collect();
    assert_eq!(seen, kept);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn whatever_is_killed_when_a_recorded_story_is_told_byte_for_byte_the_same() {
    let story = Story::recorded().await;
    let undisturbed = told(story, None).await;
    assert!(!undisturbed.is_empty());
    let replays = STAGES
        .into_iter()
        .flat_map(|stage| Moment::ALL.into_iter().map(move |moment| (stage, moment)));
    let replays = replays.map(async |killed| (killed, told(story, Some(killed)).await));
    for (killed, got) in futures_util::future::join_all(replays).await {
        let id = |told: &[(String, Vec<u8>)]| -> Vec<String> {
            told.iter()
                .map(|(subject, payload)| format!("{subject} {}", String::from_utf8_lossy(payload)))
                .collect()
        };
        assert_eq!(id(&got), id(&undisturbed), "{killed:?}");
    }
}

/// The one incident about the shop, its revisions each once.
async fn the_incident(kept: &Kept, server: &server::Server) -> Incident {
    let bus = server.connect().await;
    let all = revisions(&bus).await;
    is_each_once(&all, &newest(&bus).await);
    let about: Vec<_> = all
        .into_iter()
        .filter(|incident| kept.concerns(incident))
        .collect();
    let last = about.last().unwrap().clone();
    assert!(
        about.iter().all(|incident| incident.id == last.id),
        "one incident"
    );
    assert_eq!(about.len(), last.revision as usize);
    assert_eq!(last.root_cause().unwrap().condition, "executable_changed");
    assert_eq!(last.completeness.lost_events, 0);
    last
}

async fn live(stage: &str, moment: Moment) {
    let mut demo = Demo::start(&["--keep", "--settle", "10s"]).await;
    demo.reaches(moment).await;
    demo.kill_child(stage);
    let (kept, server) = demo.succeeds().await;
    let incident = the_incident(&kept, &server).await;
    println!("{stage} killed, {moment:?}: {} revisions", incident.revision);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn an_enricher_killed_while_the_memory_grows_costs_nothing() {
    live("tapio-enricher", Moment::Growth).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_correlator_killed_with_the_cache_costs_nothing() {
    live("tapio-correlator", Moment::OomKill).await;
}

/// `cargo test -p cli --test endure -- --ignored --exact killed::at_every_moment_of_the_real_story --nocapture`
#[tokio::test]
#[ignore = "takes minutes: each stage is killed at each moment of a real story"]
async fn at_every_moment_of_the_real_story() {
    for stage in STAGES {
        for moment in Moment::ALL {
            live(stage, moment).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_bus_that_is_gone_for_ten_seconds_costs_nothing() {
    let (_folder, hold, program) = Demo::holdable_server();
    let mut demo = Demo::start(&[
        "--keep",
        "--settle",
        "10s",
        "--nats-server",
        program.to_str().unwrap(),
    ])
    .await;
    demo.reaches(Moment::Growth).await;
    std::fs::write(&hold, "").unwrap();
    demo.kill_child("nats-server");
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    std::fs::remove_file(&hold).unwrap();
    let (kept, server) = demo.succeeds().await;
    let incident = the_incident(&kept, &server).await;
    println!("{} revisions", incident.revision);
    assert_eq!(kept.spooled(), 0);
    let account = Account::of(&server.connect().await).await;
    assert_eq!((account.missing, account.lost), (0, 0));
}
