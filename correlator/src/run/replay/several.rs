//! A replay whose partitions are folded by several threads, as processes would that share them; what they report is explained in
//! the order in which the messages were stored.
//!
//! One thread hands the messages out and writes down whose turn it is; each worker reports to a queue of its own. All queues are
//! short. They cannot wait for each other in a circle: for the oldest message that was not explained yet, its worker has an
//! empty queue behind it, since everything before was taken.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bus_client::bundle::{Head, Recorded};

use super::explainer::Explainer;
use super::reporter::{Reporter, Reports};
use super::{Error, Step};
use crate::rules::RuleBook;

/// Messages that wait for a worker, and reports of a worker that wait to be explained.
const QUEUE: usize = 64;

/// What workers report, explained: a step for each message, in order. The first error is the last item.
#[derive(Debug)]
pub struct Several {
    explainer: Explainer,
    turns: Receiver<Turn>,
    reported: Vec<Receiver<Result<Reports, Error>>>,
    is_over: bool,
}

/// Who has the next message, in the order of the bus.
#[derive(Debug)]
enum Turn {
    /// A worker by its number.
    Of(usize),
    /// Nobody: there is something wrong with it.
    Wrong(Error),
    /// Nobody: there is none.
    Over,
}

/// A message, and the number of its reader.
type Handed = (usize, Recorded);

impl Several {
    /// Begins to replay messages that are in order, with so many workers, of which no more are started than there are streams.
    ///
    /// # Errors
    /// [`Error::Begin`] when memory is short, [`Error::Thread`] when there are no threads.
    pub fn begin(
        book: &Arc<RuleBook>,
        head: &Head,
        workers: NonZeroUsize,
        messages: impl IntoIterator<Item = Recorded, IntoIter: Send + 'static>,
    ) -> Result<Self, Error> {
        let readers = Reporter::all(book, head)?;
        let (count, workers) = (readers.len(), workers.get().min(readers.len()));
        let (mut to, mut reported) = (Vec::new(), Vec::new());
        for own in shared(readers, workers) {
            let (hand_out, handed) = sync_channel(QUEUE);
            let (report, reports) = sync_channel(QUEUE);
            spawn("worker", move || work(own, &handed, &report))?;
            to.push(hand_out);
            reported.push(reports);
        }
        let (tell, turns) = sync_channel(QUEUE);
        let messages = messages.into_iter();
        spawn("messages", move || hand_out(messages, count, &to, &tell))?;
        Ok(Self {
            explainer: Explainer::new(book)?,
            turns,
            reported,
            is_over: false,
        })
    }

    /// Nothing when all messages are explained.
    fn next_step(&mut self) -> Result<Option<Step>, Error> {
        let worker = match self.turns.recv() {
            Ok(Turn::Of(worker)) => self.reported.get(worker),
            Ok(Turn::Wrong(error)) => return Err(error),
            Ok(Turn::Over) => return Ok(None),
            Err(_) => None,
        };
        let reports = worker.and_then(|worker| worker.recv().ok());
        let step = self.explainer.step(reports.unwrap_or(Err(Error::Worker))?)?;
        Ok(Some(step))
    }
}

impl Iterator for Several {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let step = self.next_step();
        self.is_over = !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}

/// The readers of each worker, with their numbers: every worker gets each `workers`-th.
fn shared(readers: Vec<Reporter>, workers: usize) -> Vec<Vec<(usize, Reporter)>> {
    let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, reader) in readers.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % workers.max(1)) {
            share.push((number, reader));
        }
    }
    shares
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop).map_err(Error::Thread)
}

/// Ends with the messages, or when nobody takes what follows from them any more.
fn hand_out(
    messages: impl Iterator<Item = Recorded>,
    readers: usize,
    to: &[SyncSender<Handed>],
    turns: &SyncSender<Turn>,
) {
    for message in messages {
        let reader = match Reporter::reading(&message.stream, readers) {
            Ok(reader) => reader,
            Err(error) => {
                // The replay ends with it; whether anybody still listens does not matter.
                let _ = turns.send(Turn::Wrong(error));
                return;
            }
        };
        let worker = reader % to.len().max(1);
        let Some(queue) = to.get(worker) else { return };
        if turns.send(Turn::Of(worker)).is_err() || queue.send((reader, message)).is_err() {
            return;
        }
    }
    let _ = turns.send(Turn::Over);
}

/// Ends with what is handed to it, with the first error, or when nobody takes its reports any more.
fn work(
    mut own: Vec<(usize, Reporter)>,
    handed: &Receiver<Handed>,
    report: &SyncSender<Result<Reports, Error>>,
) {
    for (number, message) in handed {
        let Some((_, reader)) = own.iter_mut().find(|(own, _)| *own == number) else {
            return;
        };
        let reports = reader.apply(number, message);
        let is_last = reports.is_err();
        if report.send(reports).is_err() || is_last {
            return;
        }
    }
}
