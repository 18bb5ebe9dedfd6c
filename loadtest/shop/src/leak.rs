//! A real leak: memory that is allocated, touched page by page, and kept.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

const PAGE: usize = 4096;
/// Small enough that memory grows as a line and not as stairs.
const STEP: Duration = Duration::from_millis(50);

/// Memory that is never given back.
#[derive(Debug)]
pub struct Hoard {
    kept: Vec<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

impl Hoard {
    /// A hoard that stops growing at `limit`, so that a forgotten one does not take the machine.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            bytes: 0,
            limit,
        }
    }

    /// Keeps `bytes` more and touches every page of them, as far as the limit allows.
    pub fn keep(&mut self, bytes: usize) {
        let bytes = bytes.min(self.limit - self.bytes);
        if bytes == 0 {
            return;
        }
        let mut block = vec![0_u8; bytes];
        for page in block.chunks_mut(PAGE) {
            page.fill(0xA5);
        }
        self.bytes += bytes;
        self.kept.push(block);
    }

    /// How much is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Lets `keep` grow by `bytes_per_second` after `delay`, until `stop`.
pub async fn leak(
    bytes_per_second: u64,
    delay: Duration,
    stop: CancellationToken,
    mut keep: impl FnMut(usize),
) {
    if stop
        .run_until_cancelled(tokio::time::sleep(delay))
        .await
        .is_none()
    {
        return;
    }
    tracing::info!(bytes_per_second, "leaking");
    let start = Instant::now();
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leaked = 0_u64;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let due = due_bytes(bytes_per_second, start.elapsed());
        keep(usize::try_from(due - leaked).unwrap_or(usize::MAX));
        leaked = due;
    }
}

fn due_bytes(bytes_per_second: u64, elapsed: Duration) -> u64 {
    let due = u128::from(bytes_per_second) * elapsed.as_millis() / 1000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hoard_stops_at_its_limit() {
        let mut hoard = Hoard::new(10_000);
        hoard.keep(6_000);
        hoard.keep(6_000);
        assert_eq!(hoard.bytes(), 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leak_waits_and_then_keeps_its_rate() {
        let stop = CancellationToken::new();
        let kept = std::sync::atomic::AtomicUsize::new(0);
        let keep = |bytes| {
            kept.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        };
        let after = Duration::from_secs(3);
        let work = tokio::time::timeout(Duration::from_secs(5), leak(1_000_000, after, stop, keep));
        assert!(work.await.is_err(), "a leak has no end of its own");
        let kept = kept.into_inner();
        assert!(
            (1_900_000..=2_000_000).contains(&kept),
            "kept {kept} bytes in two seconds of leaking"
        );
    }
}
