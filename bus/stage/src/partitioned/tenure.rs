//! The time for which a member holds a partition, for whoever does something besides the work that only one member may do.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fence::Fence;
use super::keeper::Grant;

/// From the moment at which work on a partition begins until its lease is given back or gone. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tenure {
    fence: Fence,
    handover: CancellationToken,
}

impl Tenure {
    pub(super) fn new(grant: &Grant) -> Self {
        Self {
            fence: grant.fence.clone(),
            handover: grant.handover.clone(),
        }
    }

    /// Whether it lasts at `now`: to be asked before each effect.
    pub fn lasts(&self, now: Instant) -> bool {
        !self.handover.is_cancelled() && self.fence.is_open(now)
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.handover.cancelled() => {}
            () = self.fence.closed() => {}
        }
    }
}
