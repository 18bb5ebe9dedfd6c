//! States that cannot be read, messages in several steps, outputs that the bus does not take.

use bus_client::Bus;
use bus_client::checkpoints::Checkpoints;
use bus_schema::names::INCIDENTS_BUCKET;

use crate::echo::{Member, ready, said, tell};
use crate::wait_for;

async fn wait_for_lines(bus: &Bus, count: usize) -> Vec<String> {
    wait_for("all is said", async || said(bus).await.len() >= count).await;
    said(bus).await
}

/// Numbers of what was said so far, in order.
fn counts(lines: &[String]) -> Vec<&str> {
    let count = |line: &'_ String| line.find(", ").map(|at| at + 2);
    let count = |line| count(line).and_then(|at| line[at..].split(' ').next());
    lines.iter().filter_map(count).collect()
}

#[tokio::test]
async fn a_state_of_another_version_is_made_again_from_the_stream_and_nothing_is_told_twice() {
    let (_server, bus, url) = ready().await;
    let store = bus_client::streams::bucket(&bus, INCIDENTS_BUCKET).await.unwrap();
    store.put("k", "told".into()).await.unwrap();
    let first = Member::start::<1>(&url, "first").await;
    for number in 0..3 {
        tell(&bus, 0, &format!("message {number}")).await;
    }
    wait_for_lines(&bus, 3).await;
    first.end().await;
    let same = Member::start::<1>(&url, "same").await;
    tell(&bus, 0, "message 3").await;
    wait_for_lines(&bus, 4).await;
    same.end().await;
    let newer = Member::start::<2>(&url, "newer").await;
    tell(&bus, 0, "message 4").await;
    let lines = wait_for_lines(&bus, 5).await;
    newer.end().await;
    assert_eq!(counts(&lines), ["1", "2", "3", "4", "5"], "{lines:?}");
    assert!(lines[3].contains("recalled 0"), "its state was there: {lines:?}");
    assert!(lines[4].contains("recalled 1"), "{lines:?}");
    let again = Member::start::<2>(&url, "again").await;
    tell(&bus, 0, "message 5").await;
    let lines = wait_for_lines(&bus, 6).await;
    assert!(
        lines[5].contains(", 6 so far, recalled 0"),
        "the new state was written down: {lines:?}"
    );
    again.end().await;
}

#[tokio::test]
async fn a_message_in_steps_is_one_message_and_a_checkpoint_holds_all_of_it() {
    let (_server, bus, url) = ready().await;
    let member = Member::start::<1>(&url, "one").await;
    tell(&bus, 0, "steps").await;
    tell(&bus, 0, "next").await;
    let lines = wait_for_lines(&bus, 5).await;
    let heard: Vec<_> = lines
        .iter()
        .map(|line| {
            line.split("heard ")
                .nth(1)
                .and_then(|rest| rest.split(',').next())
        })
        .map(Option::unwrap_or_default)
        .collect();
    assert_eq!(heard, ["steps", "a step", "a step", "a step", "next"]);
    member.end().await;
    let mut checkpoints = Checkpoints::open(&bus, "echo", 0, u64::MAX).await.unwrap();
    assert_eq!(checkpoints.read().await.unwrap().unwrap().sequence, 2);
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_counted_and_the_work_hears_of_it() {
    let (_server, bus, url) = ready().await;
    let member = Member::start::<1>(&url, "one").await;
    for (number, text) in (1..).zip(["large message", "large entry"]) {
        tell(&bus, 0, text).await;
        let line = format!(r#"tapio_test_events_dropped_total{{reason="too_large"}} {number}"#);
        wait_for(&line, async || member.shows(&line)).await;
    }
    tell(&bus, 0, "next").await;
    let lines = wait_for_lines(&bus, 2).await;
    assert!(lines[0].contains("large entry"), "the message itself was taken");
    assert!(
        lines[1].contains("heard next") && lines[1].contains("lost [too_large]"),
        "{lines:?}"
    );
    member.end().await;
}
