//! Whether a lease is still ours. Whoever works under it asks before each effect.

use std::sync::{Arc, Mutex, PoisonError};

use bus_schema::names::LEASE_TTL;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The fence around the work under one lease. Cheap to clone; closed once, it stays so.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    closed: CancellationToken,
    renewed: Arc<Mutex<Instant>>,
}

impl Fence {
    /// Open from `renewed` on, when the lease was asked for.
    pub(super) fn new(renewed: Instant) -> Self {
        Self {
            closed: CancellationToken::new(),
            renewed: Arc::new(Mutex::new(renewed)),
        }
    }

    /// The lease was asked for again at `now`, and granted.
    pub(super) fn renew(&self, now: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// The lease is gone.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the lease is ours at `now`. A process that was asleep finds out by its clock, before anybody tells it.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(renewed) >= LEASE_TTL {
            self.close();
        }
        !self.closed.is_cancelled()
    }

    /// Waits until the lease is gone.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_closes_when_its_lease_was_not_renewed_in_time_and_stays_closed() {
        let taken = Instant::now();
        let fence = Fence::new(taken);
        assert!(fence.is_open(taken + LEASE_TTL / 2));
        fence.renew(taken + LEASE_TTL / 2);
        assert!(fence.is_open(taken + LEASE_TTL), "renewed");
        assert!(!fence.is_open(taken + LEASE_TTL * 2));
        fence.renew(taken + LEASE_TTL * 2);
        assert!(
            !fence.is_open(taken + LEASE_TTL * 2),
            "somebody else may have begun"
        );
    }
}
