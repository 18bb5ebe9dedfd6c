//! What a worker has done at a time on a thread for what blocks: some messages, or the rest of what follows from one.

use std::collections::VecDeque;

use bus_client::reader::{Incoming, Item};

use super::{Applied, Reject, Work};

/// Most messages of one job: what they lead to is published when it is done.
const MOST_MESSAGES: usize = 32;

/// What became of an item, in order.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A message was worked on, up to here.
    Message(Incoming, Result<Applied, Reject>),
    /// The rest of the last message, or some of it.
    Rest(Result<Applied, Reject>),
    /// So many messages were removed before they were read.
    Gap(u64),
}

/// Work to be done in one go.
#[derive(Debug)]
pub(super) struct Job<W> {
    pub(super) work: W,
    /// What waits to be worked on; what is left when the job is done still waits.
    pub(super) waiting: VecDeque<Item>,
    /// More follows from the last message.
    pub(super) more: bool,
    pub(super) outcomes: Vec<Outcome>,
}

impl<W: Work> Job<W> {
    pub(super) fn new(work: W, waiting: VecDeque<Item>, more: bool) -> Self {
        Self {
            work,
            waiting,
            more,
            outcomes: Vec::new(),
        }
    }

    /// Works, until there is something that is worth publishing before the rest.
    pub(super) fn run(mut self) -> Self {
        if self.more {
            let rest = self.work.resume();
            self.more = has_more(&rest);
            self.outcomes.push(Outcome::Rest(rest));
        }
        while !self.more
            && self.outcomes.len() < MOST_MESSAGES
            && let Some(item) = self.waiting.pop_front()
        {
            let outcome = match item {
                Item::Message(message) => {
                    let applied = self.work.apply(&message);
                    self.more = has_more(&applied);
                    Outcome::Message(message, applied)
                }
                Item::Gap { missed } => Outcome::Gap(missed),
            };
            self.outcomes.push(outcome);
        }
        self
    }
}

fn has_more(result: &Result<Applied, Reject>) -> bool {
    result.as_ref().is_ok_and(|applied| applied.more)
}
