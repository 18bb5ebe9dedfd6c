//! A member that cannot keep up says so, on its `/readyz` and downstream, and keeps its lease: another would be no faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bus_client::losses::Losses;
use bus_client::reader::Item;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Process;
use crate::clock::now_ns;
use crate::metrics::PartitionGauges;

/// Messages that have waited for longer, by the clocks of the bus and of this host, are late: incidents are due within two
/// seconds, and this leaves room for clocks that differ.
const LATE: Duration = Duration::from_secs(10);
/// Work that has been late for so long is behind. Shorter delays, as after a restart, are caught up with.
const PATIENCE: Duration = Duration::from_secs(10);
/// Downstream is told this often.
const TELL_AGAIN: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Reason of the loss downstream: what is late is not there when it is asked for.
const BEHIND: &str = "behind";

/// How far the work on a partition has come, for whoever looks on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When the bus stored the message that is worked on, or was last, UNIX ns.
    stored_ns: AtomicU64,
    is_busy: AtomicBool,
    /// Messages read and not worked on.
    queued: AtomicU64,
    /// Messages of the stream behind the one that was read last.
    unread: AtomicU64,
}

impl Progress {
    /// Takes note of what was read and waits for the work now.
    pub(super) fn read(&self, item: &Item) {
        if let Item::Message(message) = item {
            self.unread.store(message.pending, Ordering::Relaxed);
            self.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The work on a message begins.
    pub(super) fn begin(&self, stored_ns: u64) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.stored_ns.store(stored_ns, Ordering::Relaxed);
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// … and has ended.
    pub(super) fn end(&self) {
        self.is_busy.store(false, Ordering::Relaxed);
    }

    fn waiting(&self) -> u64 {
        self.queued.load(Ordering::Relaxed) + self.unread.load(Ordering::Relaxed)
    }

    /// How long ago the bus stored what is worked on; nothing where no work is left.
    fn lag(&self, now_ns: u64) -> Duration {
        if !self.is_busy.load(Ordering::Relaxed) && self.queued.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        match self.stored_ns.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            stored_ns => Duration::from_nanos(now_ns.saturating_sub(stored_ns)),
        }
    }
}

/// Since when the work has been late, and when that was told.
#[derive(Debug, Default)]
struct Judge {
    late_since: Option<Instant>,
    told: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It keeps up, or may yet catch up.
    KeepsUp,
    /// It does not keep up, and whether that has to be told downstream now.
    Behind { is_due: bool },
}

impl Judge {
    fn judge(&mut self, now: Instant, lag: Duration) -> Verdict {
        if lag < LATE {
            *self = Self::default();
            return Verdict::KeepsUp;
        }
        let since = *self.late_since.get_or_insert(now);
        if now.duration_since(since) < PATIENCE {
            return Verdict::KeepsUp;
        }
        let is_due = self
            .told
            .is_none_or(|told| now.duration_since(told) >= TELL_AGAIN);
        if is_due {
            self.told = Some(now);
        }
        Verdict::Behind { is_due }
    }
}

/// One partition, to whoever asks.
pub(super) struct Watched {
    pub(super) process: Process,
    pub(super) stage: &'static str,
    pub(super) partition: u16,
    pub(super) progress: Arc<Progress>,
    /// What is to be told downstream.
    pub(super) losses: Losses,
}

impl Watched {
    /// Looks on until it is dropped.
    pub(super) async fn watch(&self, gauges: &PartitionGauges) {
        let mut judge = Judge::default();
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = looks.tick().await;
            let (waiting, lag) = (self.progress.waiting(), self.progress.lag(now_ns()));
            gauges
                .queue_depth
                .gauge
                .set(i64::try_from(waiting).unwrap_or(i64::MAX));
            match judge.judge(now, lag) {
                Verdict::KeepsUp => self.process.readiness.ready(&self.name()),
                Verdict::Behind { is_due } => self.say(is_due, waiting, lag),
            }
        }
    }

    fn say(&self, is_due: bool, waiting: u64, lag: Duration) {
        let seconds = lag.as_secs();
        let why = format!("does not keep up: {seconds} s behind, {waiting} messages wait");
        self.process.readiness.waiting(&self.name(), why);
        if is_due {
            let (stage, partition) = (self.stage, self.partition);
            tracing::warn!(stage, partition, seconds, waiting, "does not keep up");
            self.process.metrics.error(BEHIND);
            self.losses.add(BEHIND, waiting.max(1));
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.stage, self.partition)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.process.readiness.forget(&self.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn who_is_late_for_long_is_behind_and_says_so_from_time_to_time() {
        let (start, mut judge) = (Instant::now(), Judge::default());
        let due: Vec<u64> = (0..60)
            .filter(|at| judge.judge(start + seconds(*at), LATE * 2) == Verdict::Behind { is_due: true })
            .collect();
        assert_eq!(due, [10, 40]);
        assert_eq!(judge.judge(start + seconds(60), seconds(1)), Verdict::KeepsUp);
        assert_eq!(
            judge.judge(start + seconds(61), LATE * 2),
            Verdict::KeepsUp,
            "patience begins anew"
        );
    }

    #[test]
    fn who_has_nothing_to_do_is_not_late_however_old_its_last_message_is() {
        let progress = Progress::default();
        let item = |pending| {
            Item::Message(bus_client::reader::Incoming {
                sequence: 1,
                stored_ns: 1_000_000_000,
                pending,
                subject: String::new(),
                payload: bytes::Bytes::new(),
            })
        };
        progress.read(&item(5));
        progress.begin(1_000_000_000);
        assert_eq!(progress.lag(21_000_000_000), seconds(20));
        assert_eq!(progress.waiting(), 5);
        progress.end();
        assert_eq!(progress.lag(21_000_000_000), Duration::ZERO);
        progress.read(&item(4));
        assert_eq!(progress.lag(21_000_000_000), seconds(20), "the next one waits");
    }
}
