//! Batches as they leave: when, in which order, and with what said of losses.

use bus_schema::Batch;
use bus_schema::event::network::TcpStats;

use super::*;

const NS: u64 = 1_000_000_000;

/// A batcher at work, its emitter, and what it sends after the heartbeat of second one. There is no other: time stands still.
async fn quiet() -> (Emitter, mpsc::Receiver<Outgoing>, Losses) {
    let (emitter, mut sent, losses) = batcher();
    emitter.complete_until(NS + 3);
    let mut codec = Codec::new().unwrap();
    let mut is_still =
        |heartbeat: &Outgoing| codec.unpack(&heartbeat.payload).unwrap().header.watermark_ns == NS;
    while !is_still(&sent.recv().await.unwrap()) {}
    (emitter, sent, losses)
}

/// A batcher at work, its emitter, and what it sends.
fn batcher() -> (Emitter, mpsc::Receiver<Outgoing>, Losses) {
    let (batcher, emitter, sent, losses) = idle();
    tokio::spawn(batcher.run());
    (emitter, sent, losses)
}

fn idle() -> (Batcher, Emitter, mpsc::Receiver<Outgoing>, Losses) {
    let source = Source {
        cluster: "c".into(),
        node: "n".into(),
        boot: "b".into(),
        family: "network",
        observer: "status",
        delay: Duration::from_nanos(3),
    };
    let (out, sent) = mpsc::channel(1_000);
    let (losses, metrics) = (Losses::default(), Metrics::new("test"));
    let (batcher, emitter) = Batcher::new(source, BootClock::new(), out, losses.clone(), metrics).unwrap();
    (batcher, emitter, sent, losses)
}

fn draft(severity: Severity) -> Draft {
    let body = Body::TcpStats(TcpStats::default());
    Draft::new(5 * NS, severity, Entity::of_node("n"), body).counting(1, NS)
}

/// The next batch that carries events.
async fn next(sent: &mut mpsc::Receiver<Outgoing>) -> Batch {
    let mut codec = Codec::new().unwrap();
    loop {
        let batch = codec.unpack(&sent.recv().await.unwrap().payload).unwrap();
        if !batch.events.is_empty() {
            return batch;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_travel_together_until_they_are_many_or_have_waited_or_one_is_urgent() {
    let (emitter, mut sent, _) = quiet().await;
    (0..BATCH_MAX_EVENTS + 2).for_each(|_| emitter.emit(draft(Severity::Info)));
    assert_eq!(next(&mut sent).await.events.len(), BATCH_MAX_EVENTS);
    let full = Instant::now();
    let rest = next(&mut sent).await;
    assert_eq!(
        (rest.events.len(), rest.header.first_sequence),
        (2, BATCH_MAX_EVENTS as u64 + 1)
    );
    let waited = full.elapsed();
    assert!(
        waited > Duration::ZERO && waited <= BATCH_LINGER + Duration::from_millis(1),
        "{waited:?}"
    );
    emitter.emit(draft(Severity::Info));
    emitter.emit(draft(Severity::Critical));
    let before = Instant::now();
    assert_eq!(next(&mut sent).await.events.len(), 2);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_waits_together_is_observed_at_one_time_and_what_comes_later_later() {
    let (emitter, mut sent, _) = quiet().await;
    let mut observed = async || {
        (0..BATCH_MAX_EVENTS).for_each(|_| emitter.emit(draft(Severity::Info)));
        let events = next(&mut sent).await.events;
        assert_eq!(events.len(), BATCH_MAX_EVENTS);
        let mut times: Vec<_> = events.iter().map(|event| event.observed_ns).collect();
        times.dedup();
        times
    };
    let (first, second) = (observed().await, observed().await);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert!(first < second);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_observer_tells_its_time_as_soon_as_another_second_is_complete() {
    let (emitter, mut sent, _) = quiet().await;
    let mut codec = Codec::new().unwrap();
    let mut heartbeat = async |complete_ms: u64| {
        emitter.complete_until(complete_ms * 1_000_000 + 3);
        let next = tokio::time::timeout(10 * BATCH_LINGER, sent.recv());
        let payload = next.await.ok()?.unwrap().payload;
        let batch = codec.unpack(&payload).unwrap();
        assert_eq!(batch.events, []);
        Some(batch.header.watermark_ns / 1_000_000)
    };
    assert_eq!(heartbeat(1_999).await, None);
    assert_eq!(heartbeat(2_000).await, Some(2_000));
    assert_eq!(heartbeat(2_999).await, None);
    assert_eq!(heartbeat(3_003).await, Some(3_003));
    assert_eq!(heartbeat(700).await, Some(700), "a clock that was set back");
}

#[tokio::test(start_paused = true)]
async fn what_an_observer_sees_is_said_again_every_minute_and_not_sooner_for_being_said_twice() {
    let (emitter, mut sent, _) = quiet().await;
    let is_capability =
        |batch: &Batch| matches!(&batch.events[..], [event] if matches!(event.body, Body::Capability(_)));
    emitter.works("status", "hook", "tp_btf");
    assert!(is_capability(&next(&mut sent).await));
    emitter.works("status", "hook", "tp_btf");
    let said = Instant::now();
    assert!(is_capability(&next(&mut sent).await));
    let (sooner, later) = (said + REPEAT_CAPABILITIES / 2, said + REPEAT_CAPABILITIES * 2);
    assert!((sooner..later).contains(&Instant::now()), "{:?}", said.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_told_even_when_the_queue_is_full_and_at_the_very_end() {
    let (emitter, mut sent, losses) = quiet().await;
    (0..QUEUE + 7).for_each(|_| emitter.emit(draft(Severity::Info)));
    emitter.lost("ring_buffer", 3);
    drop(emitter);
    losses.add("spool_full", 2);
    let (mut codec, mut told, mut events) = (Codec::new().unwrap(), BTreeMap::new(), 0);
    while let Some(message) = sent.recv().await {
        let batch = codec.unpack(&message.payload).unwrap();
        for event in batch.events {
            if let Body::Loss(loss) = event.body {
                *told.entry(loss.reason).or_insert(0) += event.count;
            } else {
                events += 1;
            }
        }
    }
    let told: Vec<_> = told
        .iter()
        .map(|(reason, count)| (reason.as_str(), *count))
        .collect();
    assert_eq!(told, [("queue_full", 7), ("ring_buffer", 3), ("spool_full", 2)]);
    assert_eq!(events, QUEUE);
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_in_parts_without_a_gap() {
    const BEFORE_NS: u64 = 7;
    let (mut batcher, _emitter, mut sent, _) = idle();
    batcher.header.watermark_ns = BEFORE_NS;
    let mut noise = 1_u64;
    let mut random = |_| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{noise:016x}")
    };
    for _ in 0..BATCH_MAX_EVENTS {
        let name: String = (0..32).map(&mut random).collect();
        let subject = Entity::of_node(&name);
        let draft = Draft {
            subject,
            ..draft(Severity::Info)
        };
        batcher.push(draft, 0);
    }
    batcher.flush().await;
    let mut codec = Codec::new().unwrap();
    let (mut next_sequence, mut watermarks) = (1, Vec::new());
    while let Ok(message) = sent.try_recv() {
        assert!(message.payload.len() <= BATCH_MAX_BYTES);
        let batch = codec.unpack(&message.payload).unwrap();
        assert_eq!(batch.header.first_sequence, next_sequence);
        next_sequence += batch.events.len() as u64;
        watermarks.push(batch.header.watermark_ns);
    }
    assert_eq!(next_sequence, BATCH_MAX_EVENTS as u64 + 1);
    let (last, parts) = watermarks.split_last().unwrap();
    assert!(!parts.is_empty(), "it fits into one");
    assert!(parts.iter().all(|mark| *mark == BEFORE_NS) && *last > BEFORE_NS);
}

/// The watermark of the last batch of an observer that does this.
async fn watermark_after(observe: impl FnOnce(&Emitter)) -> u64 {
    let (emitter, mut sent, _) = batcher();
    observe(&emitter);
    drop(emitter);
    let mut codec = Codec::new().unwrap();
    let mut last = 0;
    while let Some(batch) = sent.recv().await {
        last = codec.unpack(&batch.payload).unwrap().header.watermark_ns;
    }
    last
}

#[tokio::test]
async fn time_stands_still_where_the_observer_has_come_no_further() {
    let before = BootClock::new().now_ns() - 1_000_000_000;
    assert!(watermark_after(|_| ()).await > before, "one that says nothing");
    assert_eq!(watermark_after(|emitter| emitter.complete_until(5)).await, 2);
    let twice = watermark_after(|emitter| {
        emitter.complete_until(5);
        emitter.complete_until(9);
    });
    assert_eq!(twice.await, 6);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_ends_says_so_last_and_once() {
    let (emitter, mut sent, _) = quiet().await;
    emitter.emit(draft(Severity::Info));
    drop(emitter);
    let mut codec = Codec::new().unwrap();
    let mut left = Vec::new();
    while let Some(message) = sent.recv().await {
        let batch = codec.unpack(&message.payload).unwrap();
        left.push((batch.events.len(), batch.header.leaving));
    }
    assert_eq!(left, [(1, false), (0, true)]);
}
