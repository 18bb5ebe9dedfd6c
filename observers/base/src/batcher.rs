//! Gathers an observer's events into batches: by number, by time, or at once when one is urgent. Between them it keeps time
//! going with heartbeats, and says what was lost.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_client::codec::Codec;
use bus_client::losses::Losses;
use bus_client::publisher::Outgoing;
use bus_schema::event::node::{Capability, Coverage, Loss};
use bus_schema::event::{Body, Event};
use bus_schema::names::{
    BATCH_LINGER, BATCH_MAX_BYTES, BATCH_MAX_EVENTS, HEARTBEAT_INTERVAL, events_subject,
};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};
use bus_stage::metrics::Metrics;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::BootClock;
use crate::emitter::{Draft, Emitter, Message, QUEUE};

/// Capabilities are said again this often, for readers that came later.
const REPEAT_CAPABILITIES: Duration = Duration::from_secs(60);

/// Who sends, and how late it may be.
#[derive(Debug, Clone)]
pub struct Source {
    /// Cluster.
    pub cluster: String,
    /// Node.
    pub node: String,
    /// This run: kernel boot and process start.
    pub boot: String,
    /// Family token.
    pub family: &'static str,
    /// Observer token.
    pub observer: &'static str,
    /// An event is emitted this long after it happened, at the latest.
    pub delay: Duration,
}

/// The batcher of one observer.
pub struct Batcher {
    source: Source,
    clock: BootClock,
    queue: mpsc::Receiver<Message>,
    out: mpsc::Sender<Outgoing>,
    losses: Losses,
    metrics: Metrics,
    codec: Codec,
    header: Header,
    events: Vec<Event>,
    capabilities: BTreeMap<String, Capability>,
    /// How far the observer says it has come, UNIX ns; `None` for one that never does.
    complete_ns: Option<u64>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Batcher {
    /// A batcher and the emitter that feeds it. Batches go to `out`; `losses` are those of the publisher behind it.
    ///
    /// # Errors
    /// When compression contexts cannot be allocated.
    pub fn new(
        source: Source,
        clock: BootClock,
        out: mpsc::Sender<Outgoing>,
        losses: Losses,
        metrics: Metrics,
    ) -> std::io::Result<(Self, Emitter)> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let emitter = Emitter {
            queue: sender,
            losses: losses.clone(),
        };
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: source.cluster.clone(),
            node: source.node.clone(),
            boot: source.boot.clone(),
            observer: source.observer.to_owned(),
            first_sequence: 1,
            watermark_ns: 0,
            dropped_total: 0,
            received_ns: 0,
        };
        let (codec, events, capabilities) = (Codec::new()?, Vec::new(), BTreeMap::new());
        let batcher = Self {
            source,
            clock,
            queue,
            out,
            losses,
            metrics,
            codec,
            header,
            events,
            capabilities,
            complete_ns: None,
        };
        Ok((batcher, emitter))
    }

    /// Runs until the last emitter is gone; then sends what is left.
    pub async fn run(mut self) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT_INTERVAL);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = Instant::now();
        let mut linger: Option<Instant> = None;
        loop {
            let due = linger.unwrap_or_else(|| Instant::now() + HEARTBEAT_INTERVAL);
            tokio::select! {
                message = self.queue.recv() => {
                    let Some(message) = message else { break };
                    let is_urgent = self.take(message);
                    if self.events.len() >= BATCH_MAX_EVENTS || (is_urgent && self.queue.is_empty()) {
                        self.flush().await;
                    }
                }
                () = tokio::time::sleep_until(due), if linger.is_some() => self.flush().await,
                now = heartbeats.tick() => {
                    self.clock.refresh();
                    if now.duration_since(said) >= REPEAT_CAPABILITIES {
                        said = now;
                        self.repeat_capabilities();
                    }
                    self.report_losses();
                    self.flush().await;
                }
            }
            linger = if self.events.is_empty() {
                None
            } else {
                linger.or_else(|| Some(Instant::now() + BATCH_LINGER))
            };
        }
        self.report_losses();
        self.flush().await;
    }

    /// Takes a message; says whether it cannot wait.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Event(draft) => {
                self.metrics.events_received.inc();
                let is_urgent =
                    draft.severity.is_urgent() || draft.window_ns == 0 && draft.severity >= Severity::Warning;
                self.push(draft);
                is_urgent
            }
            Message::Capability(capability) => {
                let known = self
                    .capabilities
                    .insert(capability.hook.clone(), capability.clone());
                if known.as_ref() != Some(&capability) {
                    self.push_capability(capability);
                }
                false
            }
            Message::CompleteUntil(time_ns) => {
                self.complete_ns = Some(time_ns);
                false
            }
        }
    }

    fn push(&mut self, draft: Draft) {
        let sequence = self.header.first_sequence + self.events.len() as u64;
        let Source {
            node, boot, observer, ..
        } = &self.source;
        self.events.push(Event {
            id: EventId::of_event(draft.time_ns, node, boot, observer, sequence),
            time_ns: draft.time_ns,
            observed_ns: self.clock.now_ns(),
            severity: draft.severity,
            subject: draft.subject,
            object: draft.object,
            count: draft.count,
            window_ns: draft.window_ns,
            trace: draft.trace,
            body: draft.body,
        });
    }

    fn push_capability(&mut self, capability: Capability) {
        let severity = if capability.coverage == Coverage::Full {
            Severity::Info
        } else {
            Severity::Notice
        };
        let node = Entity::of_node(&self.source.node);
        self.push(Draft::new(
            self.clock.now_ns(),
            severity,
            node,
            Body::Capability(capability),
        ));
    }

    fn repeat_capabilities(&mut self) {
        for capability in self.capabilities.values().cloned().collect::<Vec<_>>() {
            self.push_capability(capability);
        }
    }

    fn report_losses(&mut self) {
        for (reason, count) in self.losses.take() {
            self.header.dropped_total += count;
            self.metrics.drop_events(reason, count);
            let loss = Body::Loss(Loss {
                observer: self.source.observer.to_owned(),
                reason: reason.to_owned(),
            });
            let node = Entity::of_node(&self.source.node);
            self.push(Draft::new(self.clock.now_ns(), Severity::Warning, node, loss).counting(count, 0));
        }
    }

    /// Hands the batch to the publisher; without events it is a heartbeat. What is too large for one message goes in several,
    /// of which the last says how far time has come.
    async fn flush(&mut self) {
        let (before_ns, now_ns) = (self.header.watermark_ns, self.watermark_ns());
        let mut parts = vec![std::mem::take(&mut self.events)];
        while let Some(mut part) = parts.pop() {
            self.header.watermark_ns = if parts.is_empty() { now_ns } else { before_ns };
            match self.codec.pack(&self.header, &part) {
                Ok(payload) if payload.len() > BATCH_MAX_BYTES && part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Ok(payload) => self.send(payload, part.len()).await,
                Err(error) => {
                    let events = part.len() as u64;
                    tracing::error!(error = %error, events, "batch cannot be written, dropped");
                    self.losses.add("unencodable", events);
                    // Their numbers are not given again.
                    self.header.first_sequence += events;
                }
            }
        }
    }

    fn watermark_ns(&self) -> u64 {
        let delay_ns = u64::try_from(self.source.delay.as_nanos()).unwrap_or(0);
        let complete_ns = self.complete_ns.unwrap_or_else(|| self.clock.now_ns());
        complete_ns.saturating_sub(delay_ns)
    }

    async fn send(&mut self, payload: Vec<u8>, events: usize) {
        // Heartbeats share a sequence number with the batch that follows; they need an id of their own.
        let heartbeat = if events == 0 {
            format!("/h{}", self.header.watermark_ns)
        } else {
            String::new()
        };
        let message = Outgoing {
            subject: events_subject(&self.source.node, self.source.family),
            message_id: self.header.message_id() + &heartbeat,
            events: events as u64,
            payload: payload.into(),
        };
        self.header.first_sequence += events as u64;
        if self.out.send(message).await.is_err() {
            tracing::debug!("publisher is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::Batch;
    use bus_schema::event::network::TcpStats;

    use super::*;

    const NS: u64 = 1_000_000_000;

    /// A batcher at work, its emitter, and what it sends after its first heartbeat: the next one comes when all is quiet.
    async fn quiet() -> (Emitter, mpsc::Receiver<Outgoing>, Losses) {
        let (emitter, mut sent, losses) = batcher();
        sent.recv().await.unwrap();
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
        let (batcher, emitter) =
            Batcher::new(source, BootClock::new(), out, losses.clone(), metrics).unwrap();
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
    async fn a_quiet_observer_sends_its_time_and_says_again_what_it_sees() {
        let (emitter, mut sent, _) = batcher();
        emitter.works("status", "hook", "tp_btf");
        let is_capability =
            |batch: &Batch| matches!(&batch.events[..], [event] if matches!(event.body, Body::Capability(_)));
        assert!(is_capability(&next(&mut sent).await));
        emitter.works("status", "hook", "tp_btf");
        let said = Instant::now();
        let mut codec = Codec::new().unwrap();
        let mut heartbeats = 0;
        loop {
            let batch = codec.unpack(&sent.recv().await.unwrap().payload).unwrap();
            if !batch.events.is_empty() {
                assert!(is_capability(&batch));
                break;
            }
            heartbeats += 1;
        }
        assert!(
            said.elapsed() + HEARTBEAT_INTERVAL >= REPEAT_CAPABILITIES,
            "not sooner for being said twice"
        );
        let expected = REPEAT_CAPABILITIES.as_millis() / HEARTBEAT_INTERVAL.as_millis();
        assert!(
            (expected - 2..=expected + 2).contains(&heartbeats),
            "{heartbeats}"
        );
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
            batcher.push(Draft {
                subject,
                ..draft(Severity::Info)
            });
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
}
