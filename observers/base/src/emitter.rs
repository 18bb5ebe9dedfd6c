//! What an observer sees on its way out. Never blocks: a full queue drops and counts.

use bus_client::losses::Losses;
use bus_schema::event::node::{Capability, Coverage};
use bus_schema::event::{Body, Trace};
use bus_schema::{Entity, Severity};
use tokio::sync::mpsc;

/// Drafts that wait for the batcher: some seconds of the busiest observer.
pub const QUEUE: usize = 16_384;

/// An event without the identity that only the batcher can give it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// When it happened, UNIX ns.
    pub time_ns: u64,
    /// How bad it is on its own.
    pub severity: Severity,
    /// Who it happened to, or who did it.
    pub subject: Entity,
    /// The other end.
    pub object: Option<Entity>,
    /// How many occurrences it stands for.
    pub count: u64,
    /// Length of the window it sums up, ns; 0 for a single event.
    pub window_ns: u64,
    /// Trace in which it was seen.
    pub trace: Option<Trace>,
    /// What happened.
    pub body: Body,
}

impl Draft {
    /// A single event about `subject`.
    pub fn new(time_ns: u64, severity: Severity, subject: Entity, body: Body) -> Self {
        Self {
            time_ns,
            severity,
            subject,
            object: None,
            count: 1,
            window_ns: 0,
            trace: None,
            body,
        }
    }

    /// … towards `object`.
    #[must_use]
    pub fn towards(self, object: Entity) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    /// … that stands for `count` occurrences in a window.
    #[must_use]
    pub fn counting(self, count: u64, window_ns: u64) -> Self {
        Self {
            count,
            window_ns,
            ..self
        }
    }
}

/// What reaches the batcher.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the common one")]
pub(crate) enum Message {
    Event(Draft),
    Capability(Capability),
    CompleteUntil(u64),
    Idle,
}

/// An observer's way out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Emitter {
    pub(crate) queue: mpsc::Sender<Message>,
    pub(crate) losses: Losses,
}

impl Emitter {
    /// Sends an event.
    pub fn emit(&self, draft: Draft) {
        self.send(Message::Event(draft));
    }

    /// Says how well a hook works here; said again from time to time until it changes.
    pub fn capability(&self, capability: Capability) {
        self.send(Message::Capability(capability));
    }

    /// Says that `hook` works by `rung`.
    pub fn works(&self, observer: &str, hook: &str, rung: &str) {
        let (observer, hook, rung) = (observer.to_owned(), hook.to_owned(), rung.to_owned());
        self.capability(Capability {
            observer,
            hook,
            rung,
            coverage: Coverage::Full,
            reason: String::new(),
        });
    }

    /// Says that `hook` does not work, and why.
    pub fn is_blind(&self, observer: &str, hook: &str, reason: &str) {
        let (observer, hook, reason) = (observer.to_owned(), hook.to_owned(), reason.to_owned());
        self.capability(Capability {
            observer,
            hook,
            rung: String::new(),
            coverage: Coverage::Missing,
            reason,
        });
    }

    /// Says that `count` things were lost before they became events.
    pub fn lost(&self, reason: &'static str, count: u64) {
        self.losses.add(reason, count);
    }

    /// Says that all that happened until `time_ns` (UNIX) was emitted. An observer that has said so once says it on and on:
    /// its readers wait for it.
    pub fn complete_until(&self, time_ns: u64) {
        // Where the queue is full, the next one says more.
        let _ = self.queue.try_send(Message::CompleteUntil(time_ns));
    }

    /// Says that nothing is observed until [`Emitter::complete_until`] is said again: nobody has to wait.
    pub(crate) fn is_idle(&self) {
        self.send(Message::Idle);
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.losses.add("queue_full", 1);
        }
    }
}
