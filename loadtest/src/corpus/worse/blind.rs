//! A node whose kernel tells nothing. A recording of one node would have nothing left of processes and calls: there, nothing is
//! told of the pods of a third of the workloads, as if they ran on another node, whose observers nobody knows to be missing.

use std::collections::BTreeSet;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::event::Event;
use bus_schema::family::FAMILIES;
use bus_schema::{Batch, Entity};

use super::SEED;
use super::real;

/// One in so many workloads is not seen.
const SHARE: usize = 3;

/// What is not seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blind {
    /// Anything on this node.
    Node(String),
    /// The pods of these workloads, by key.
    Workloads(BTreeSet<String>),
}

impl Blind {
    /// Of a recording: one of its nodes if there are several.
    pub(super) fn of(messages: &[Recorded]) -> Result<Self> {
        let mut codec = Codec::new()?;
        let (mut nodes, mut workloads) = (BTreeSet::new(), BTreeSet::new());
        for message in messages.iter().filter(|message| real::is_batch(message)) {
            let batch = codec.unpack(&message.payload);
            let Some(batch) = batch.ok().filter(|batch| is_of_kernel(&batch.header.observer)) else {
                continue;
            };
            let pods = batch.events.iter().map(place).filter(|place| place.pod.is_some());
            workloads.extend(pods.map(Entity::key));
            nodes.insert(batch.header.node);
        }
        let mut dice = fastrand::Rng::with_seed(SEED);
        if nodes.len() > 1 {
            return Ok(Self::Node(dice.choice(nodes).unwrap_or_default()));
        }
        let third = workloads.len().div_ceil(SHARE);
        Ok(Self::Workloads(
            dice.choose_multiple(workloads, third).into_iter().collect(),
        ))
    }

    /// What is not seen is not told.
    pub(super) fn take_out(&self, batch: &mut Batch) {
        if !is_of_kernel(&batch.header.observer) {
            return;
        }
        match self {
            Self::Node(node) if *node == batch.header.node => batch.events.clear(),
            Self::Node(_) => {}
            Self::Workloads(keys) => batch.events.retain(|event| {
                let place = place(event);
                place.pod.is_none() || !keys.contains(&place.key())
            }),
        }
    }
}

fn is_of_kernel(token: &str) -> bool {
    let mut observers = FAMILIES.iter().flat_map(|family| family.observers);
    observers.any(|observer| observer.token == token && observer.needs_bpf)
}

/// Where an event was seen: at its subject, or at whom somebody of no pod did something to.
fn place(event: &Event) -> &Entity {
    let object = event.object.as_ref().filter(|_| event.subject.pod.is_none());
    object.unwrap_or(&event.subject)
}
