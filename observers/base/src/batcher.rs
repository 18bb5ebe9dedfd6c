//! Gathers an observer's events into batches: by number, by time, or at once when one is urgent. Between them it keeps time
//! going with heartbeats, and says what was lost.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_client::codec::Codec;
use bus_client::last_minute::LastMinute;
use bus_client::losses::Losses;
use bus_client::publisher::Outgoing;
use bus_schema::event::node::{Capability, Coverage, Loss};
use bus_schema::event::{Body, Event};
use bus_schema::names::{BATCH_LINGER, BATCH_MAX_BYTES, BATCH_MAX_EVENTS, events_subject};
use bus_schema::{Entity, EventId, Header, SCHEMA_VERSION, Severity};
use bus_stage::metrics::Metrics;
use bus_stage::watermark::is_heartbeat_due;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::{BootClock, Steps};
use crate::emitter::{Draft, Emitter, Message, QUEUE};

/// Capabilities are said again this often, for readers that came later.
const REPEAT_CAPABILITIES: Duration = Duration::from_secs(60);

/// The hook of an observer whose clock was set.
const CLOCK: &str = "clock";

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
    steps: Steps,
    queue: mpsc::Receiver<Message>,
    out: mpsc::Sender<Outgoing>,
    losses: Losses,
    metrics: Metrics,
    codec: Codec,
    header: Header,
    events: Vec<Event>,
    sent: LastMinute,
    capabilities: BTreeMap<String, Capability>,
    /// How far the observer says it has come, UNIX ns; `None` for one that never does, or observes nothing.
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
            leaving: false,
        };
        let (codec, events, capabilities) = (Codec::new()?, Vec::new(), BTreeMap::new());
        let batcher = Self {
            source,
            steps: Steps::of(&clock),
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
            sent: LastMinute::default(),
        };
        Ok((batcher, emitter))
    }

    /// Runs until the last emitter is gone; then sends what is left.
    pub async fn run(mut self) {
        let mut clock = tokio::time::interval(BATCH_LINGER);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = Instant::now();
        let mut linger: Option<Instant> = None;
        let mut waiting = Vec::new();
        loop {
            let due = linger.unwrap_or_else(|| Instant::now() + BATCH_LINGER);
            tokio::select! {
                received = self.queue.recv_many(&mut waiting, BATCH_MAX_EVENTS) => {
                    if received == 0 {
                        break;
                    }
                    self.take_all(&mut waiting).await;
                }
                () = tokio::time::sleep_until(due), if linger.is_some() => self.flush().await,
                now = clock.tick() => {
                    self.clock.refresh();
                    self.notice_step();
                    if now.duration_since(said) >= REPEAT_CAPABILITIES {
                        said = now;
                        self.repeat_capabilities();
                    }
                    if is_heartbeat_due(self.header.watermark_ns, self.watermark_ns()) {
                        self.report_losses();
                        self.flush().await;
                    }
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
        self.say_goodbye().await;
    }

    /// A last heartbeat: readers need not wait to find out that nothing more comes.
    async fn say_goodbye(&mut self) {
        self.header.leaving = true;
        self.flush().await;
    }

    /// Takes what waits in the queue. It was observed at one time: a reading of the clock for each would tell no more, and is
    /// most of what does not compress.
    async fn take_all(&mut self, waiting: &mut Vec<Message>) {
        let now_ns = self.clock.now_ns();
        let mut is_urgent = false;
        for message in waiting.drain(..) {
            is_urgent |= self.take(message, now_ns);
            if self.events.len() >= BATCH_MAX_EVENTS {
                self.flush().await;
                is_urgent = false;
            }
        }
        if is_urgent {
            self.flush().await;
        }
    }

    /// Takes a message; says whether it cannot wait.
    fn take(&mut self, message: Message, now_ns: u64) -> bool {
        match message {
            Message::Event(draft) => {
                self.metrics.events_received.inc();
                let is_urgent =
                    draft.severity.is_urgent() || draft.window_ns == 0 && draft.severity >= Severity::Warning;
                self.push(draft, now_ns);
                is_urgent
            }
            Message::Capability(capability) => {
                let known = self
                    .capabilities
                    .insert(capability.hook.clone(), capability.clone());
                if known.as_ref() != Some(&capability) {
                    self.push_capability(capability, now_ns);
                }
                false
            }
            Message::CompleteUntil(time_ns) => {
                self.complete_ns = Some(time_ns);
                false
            }
            Message::Idle => {
                self.complete_ns = None;
                false
            }
        }
    }

    fn push(&mut self, draft: Draft, observed_ns: u64) {
        let sequence = self.header.first_sequence + self.events.len() as u64;
        let Source {
            node, boot, observer, ..
        } = &self.source;
        self.events.push(Event {
            id: EventId::of_event(draft.time_ns, node, boot, observer, sequence),
            time_ns: draft.time_ns,
            observed_ns,
            severity: draft.severity,
            subject: draft.subject,
            object: draft.object,
            count: draft.count,
            window_ns: draft.window_ns,
            trace: draft.trace,
            body: draft.body,
        });
    }

    fn push_capability(&mut self, capability: Capability, now_ns: u64) {
        let severity = if capability.coverage == Coverage::Full {
            Severity::Info
        } else {
            Severity::Notice
        };
        let node = Entity::of_node(&self.source.node);
        let draft = Draft::new(now_ns, severity, node, Body::Capability(capability));
        self.push(draft, now_ns);
    }

    /// Tells that the clock was set: what is told before and after differs by it.
    fn notice_step(&mut self) {
        let Some(by_ns) = self.steps.take(&self.clock) else {
            return;
        };
        let seconds = Duration::from_nanos(by_ns.unsigned_abs()).as_secs_f64();
        let way = if by_ns < 0 { "back" } else { "forth" };
        let reason = format!("the clock was set {way} by {seconds:.1} s");
        tracing::warn!(observer = self.source.observer, "{reason}");
        self.know_clock(Coverage::Degraded, reason);
    }

    fn know_clock(&mut self, coverage: Coverage, reason: String) {
        let capability = Capability {
            observer: self.source.observer.to_owned(),
            hook: CLOCK.to_owned(),
            rung: "realtime".to_owned(),
            coverage,
            reason,
        };
        self.take(Message::Capability(capability), self.clock.now_ns());
    }

    /// A clock that was set a while ago goes on as it is.
    fn repeat_capabilities(&mut self) {
        if self.capabilities.contains_key(CLOCK) {
            self.know_clock(Coverage::Full, String::new());
        }
        let now_ns = self.clock.now_ns();
        for capability in self.capabilities.values().cloned().collect::<Vec<_>>() {
            self.push_capability(capability, now_ns);
        }
    }

    fn report_losses(&mut self) {
        let now_ns = self.clock.now_ns();
        let sent_total = self.header.first_sequence - 1 + self.events.len() as u64;
        let sent = self.sent.of(now_ns, sent_total);
        for (reason, count) in self.losses.take() {
            self.header.dropped_total += count;
            self.metrics.drop_events(reason, count);
            let loss = Body::Loss(Loss {
                observer: self.source.observer.to_owned(),
                reason: reason.to_owned(),
                sent: Some(sent),
            });
            let node = Entity::of_node(&self.source.node);
            let draft = Draft::new(now_ns, Severity::Warning, node, loss).counting(count, 0);
            self.push(draft, now_ns);
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
        let message = Outgoing {
            subject: events_subject(&self.source.node, self.source.family),
            // A heartbeat shares its sequence number with the batch that follows, and may be heard twice.
            message_id: (events > 0).then(|| self.header.message_id()),
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
mod tests;
