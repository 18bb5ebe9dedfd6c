//! A real recording whose partitions are folded by one worker and by several, and whose reports come in another order: what
//! follows is the same, and what is not the same is found.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus_client::bundle::{Bundle, Head, Recorded};
use bus_client::codec::Codec;
use bus_schema::names::{ENRICHED_STREAM, TOPOLOGY_STREAM, partition_of_slot, partition_stream, slot};
use bus_stage::partitioned::Output;
use correlator::rules::RuleBook;
use correlator::run::replay::compare::{Comparison, compare};
use correlator::run::replay::order::{self, Order, Outcomes};
use correlator::run::replay::several::Several;
use correlator::run::replay::{Error, Replay, Step};

/// Of a campaign, the forty seconds in which both replicas of cart are killed.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/store-1.tapio");
const FIRST_NS: u64 = 1_795_949_808_000_000_000;
const LAST_NS: u64 = 1_795_949_850_000_000_000;
const PARTITIONS: u16 = 3;
/// Messages that a queue holds, the one before it, and the one behind it.
const UNDER_WAY: usize = 66;

static BOOK: LazyLock<Arc<RuleBook>> = LazyLock::new(|| Arc::new(RuleBook::embedded().unwrap()));
static MESSAGES: LazyLock<Vec<Recorded>> = LazyLock::new(recording);

/// That time and all relations before it, each batch parted by workload as a bus of several partitions has it.
fn recording() -> Vec<Recorded> {
    let bundle = Bundle::open(File::open(FILE).unwrap()).unwrap();
    let mut codec = Codec::new().unwrap();
    bundle
        .map(Result::unwrap)
        .take_while(|message| message.stored_ns < LAST_NS)
        .filter(|message| message.stored_ns >= FIRST_NS || message.stream == TOPOLOGY_STREAM)
        .flat_map(|message| parted(&mut codec, message))
        .collect()
}

fn parted(codec: &mut Codec, message: Recorded) -> Vec<Recorded> {
    if message.stream == TOPOLOGY_STREAM {
        return vec![message];
    }
    let part = |partition| {
        let part = message.clone().edit(codec, |batch| {
            batch
                .events
                .retain(|event| partition_of_slot(slot(&event.affected().key()), PARTITIONS) == partition);
        });
        Recorded {
            stream: partition_stream(ENRICHED_STREAM, partition),
            ..part.unwrap()
        }
    };
    (0..PARTITIONS).map(part).collect()
}

fn one() -> impl Iterator<Item = Result<Step, Error>> {
    let mut replay = Replay::new(&BOOK, &Head::new(PARTITIONS)).unwrap();
    MESSAGES.iter().map(move |message| replay.step(message.clone()))
}

fn several(workers: usize) -> Several {
    let messages = MESSAGES.iter().cloned();
    Several::begin(
        &BOOK,
        &Head::new(PARTITIONS),
        NonZeroUsize::new(workers).unwrap(),
        messages,
    )
    .unwrap()
}

/// The same with `change` made to the revisions of the message that is the `nth` of those that have any.
fn altered(nth: usize, change: fn(&mut Vec<Output>)) -> impl Iterator<Item = Result<Step, Error>> {
    let mut told = 0;
    several(2).map(move |step| {
        let mut step = step?;
        told += usize::from(!step.incidents.is_empty());
        if told == nth && !step.incidents.is_empty() {
            change(&mut step.incidents);
        }
        Ok(step)
    })
}

/// The message that is the `nth` of those after which there are revisions.
fn telling(nth: usize) -> Step {
    let mut telling = one()
        .map(Result::unwrap)
        .filter(|step| !step.incidents.is_empty());
    telling.nth(nth - 1).unwrap()
}

#[test]
fn several_workers_give_the_same_bytes_as_one() {
    for workers in [2, 9] {
        let Comparison::Same(agreement) = compare(one(), several(workers)).unwrap() else {
            panic!("{workers} workers give something else");
        };
        assert_eq!(agreement.messages, MESSAGES.len() as u64);
        assert!(agreement.revisions >= 10, "{agreement:?}");
    }
}

#[test]
fn a_byte_that_is_another_is_found_at_its_message() {
    let changed = altered(3, |revisions| {
        let payload = &mut revisions.last_mut().unwrap().message.payload;
        *payload = String::from_utf8_lossy(payload).replacen('0', "1", 1).into();
    });
    let Comparison::Different(difference) = compare(one(), changed).unwrap() else {
        panic!("the difference is not found");
    };
    let telling = telling(3);
    assert_eq!(difference.after, telling.after);
    let (one, other) = (difference.one.unwrap(), difference.other.unwrap());
    assert_eq!(
        one.message.payload,
        telling.incidents.last().unwrap().message.payload
    );
    assert_ne!(one.message.payload, other.message.payload);
}

#[test]
fn a_revision_that_is_missing_is_found_at_its_message() {
    let changed = altered(2, |revisions| drop(revisions.pop()));
    let Comparison::Different(difference) = compare(one(), changed).unwrap() else {
        panic!("the difference is not found");
    };
    assert_eq!(difference.after, telling(2).after);
    assert!(difference.one.is_some() && difference.other.is_none());
}

#[test]
fn a_replay_that_ends_early_is_found_at_the_next_message() {
    let Comparison::Different(difference) = compare(one(), several(2).take(20)).unwrap() else {
        panic!("the difference is not found");
    };
    let next = MESSAGES.get(20).unwrap();
    assert_eq!(
        (difference.after.stream.as_str(), difference.after.sequence),
        (next.stream.as_str(), next.sequence)
    );
}

#[test]
fn no_more_is_under_way_than_the_queues_hold() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let messages = MESSAGES.iter().cloned().inspect(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let two = NonZeroUsize::new(2).unwrap();
    let several = Several::begin(&BOOK, &Head::new(PARTITIONS), two, messages).unwrap();
    let mut most = 0;
    for (explained, step) in several.enumerate().take(MESSAGES.len() / 2) {
        step.unwrap();
        most = most.max(taken.load(Ordering::SeqCst) - explained);
    }
    assert!((2..=UNDER_WAY).contains(&most), "{most} messages were under way");
}

#[test]
fn a_stream_that_nobody_reads_ends_the_replay_with_one_worker_and_with_several() {
    let mut messages: Vec<_> = MESSAGES.iter().take(30).cloned().collect();
    messages.get_mut(10).unwrap().stream = partition_stream(ENRICHED_STREAM, PARTITIONS);
    let head = Head::new(PARTITIONS);
    let mut replay = Replay::new(&BOOK, &head).unwrap();
    let refused = messages
        .iter()
        .map(|message| replay.step(message.clone()))
        .find(Result::is_err);
    let several = Several::begin(&BOOK, &head, NonZeroUsize::new(3).unwrap(), messages).unwrap();
    let steps: Vec<_> = several.collect();
    assert_eq!(steps.len(), 11);
    for refused in [refused.unwrap(), steps.into_iter().last().unwrap()] {
        assert!(matches!(refused, Err(Error::Stream(stream)) if stream == "TAPIO_ENRICHED_3"));
    }
}

#[test]
fn another_order_of_reports_comes_out_the_same() {
    let order = Order {
        seed: 1,
        longest: Duration::from_millis(500),
    };
    let found = order::compare(&BOOK, &Head::new(PARTITIONS), order, MESSAGES.iter().cloned());
    assert!(
        matches!(found, Ok(Outcomes::Same(incidents)) if incidents >= 1),
        "{found:?}"
    );
}
