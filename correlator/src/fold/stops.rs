//! Containers that Kubernetes stops: how their processes end is no crash, even when they have to be killed.

use std::collections::VecDeque;

use bus_schema::Entity;
use bus_schema::event::{Body, Event};
use serde::{Deserialize, Serialize};

use super::sighting::is_by_runtime;

/// Stops whose processes have not ended yet; more than a node stops at once.
const MOST: usize = 4096;

/// Node and process id of what was told to stop, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Stops(VecDeque<(String, u32)>);

impl Stops {
    pub(super) fn note(&mut self, event: &Event) {
        let is_stop = matches!(event.body, Body::SignalSent(_)) && is_by_runtime(event);
        if let Some(target) = event.object.as_ref().filter(|_| is_stop).and_then(process) {
            if self.0.len() >= MOST {
                self.0.pop_front();
            }
            self.0.push_back(target);
        }
    }

    /// Whether the event is the end of a process that was told to stop.
    pub(super) fn explain(&mut self, event: &Event) -> bool {
        let Some(ended) = process(&event.subject).filter(|_| matches!(event.body, Body::ProcessExited(_)))
        else {
            return false;
        };
        let before = self.0.len();
        self.0.retain(|stopped| *stopped != ended);
        self.0.len() < before
    }
}

fn process(entity: &Entity) -> Option<(String, u32)> {
    Some((entity.node.clone()?, entity.process.as_ref()?.pid))
}
