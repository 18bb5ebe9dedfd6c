//! The count of what could not be kept, on its way to whoever reports it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Events lost so far, by reason. Shared with whoever reports them.
#[derive(Debug, Clone, Default)]
pub struct Losses(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Losses {
    /// Counts `events` lost for `reason`.
    pub fn add(&self, reason: &'static str, events: u64) {
        if events > 0 {
            *self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(reason)
                .or_default() += events;
        }
    }

    /// What was lost since the last call.
    pub fn take(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
