//! Two replays of the same messages side by side, byte for byte: where they first differ.

use bus_stage::partitioned::Output;

use super::{Error, Place, Step};

/// How far two replays went together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Messages that were replayed.
    pub messages: u64,
    /// Revisions of incidents that followed, the same in both.
    pub revisions: u64,
}

/// The first thing that is not the same.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The message after which it shows.
    pub after: Place,
    /// The revision that the first one published; nothing where it had no more, or has gone on to another message.
    pub one: Option<Output>,
    /// The same of the second one.
    pub other: Option<Output>,
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub enum Comparison {
    /// They are the same.
    Same(Agreement),
    /// They are not.
    Different(Box<Difference>),
}

/// Goes through two replays step by step, and no further than to the first difference. Nothing but the two steps is held.
///
/// # Errors
/// As either replay.
pub fn compare(
    mut one: impl Iterator<Item = Result<Step, Error>>,
    mut other: impl Iterator<Item = Result<Step, Error>>,
) -> Result<Comparison, Error> {
    let mut agreement = Agreement::default();
    loop {
        let (one, other) = (one.next().transpose()?, other.next().transpose()?);
        let (Some(after), is_same_message) = message(one.as_ref(), other.as_ref()) else {
            return Ok(Comparison::Same(agreement));
        };
        let published = |step: Option<Step>| step.map(|step| step.incidents).unwrap_or_default();
        let (one, other) = (published(one), published(other));
        agreement.messages += 1;
        agreement.revisions += one.len() as u64;
        match first_difference(one, other) {
            None if is_same_message => {}
            found => {
                let (one, other) = found.unwrap_or_default();
                let difference = Difference { after, one, other };
                return Ok(Comparison::Different(Box::new(difference)));
            }
        }
    }
}

/// The message of two steps, and whether it is the same; nothing after the last.
fn message(one: Option<&Step>, other: Option<&Step>) -> (Option<Place>, bool) {
    let (one, other) = (one.map(|step| &step.after), other.map(|step| &step.after));
    (one.or(other).cloned(), one == other)
}

/// The first pair of revisions that is not the same.
fn first_difference(one: Vec<Output>, other: Vec<Output>) -> Option<(Option<Output>, Option<Output>)> {
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return None,
            (Some(one), Some(other)) if is_same(&one, &other) => {}
            pair => return Some(pair),
        }
    }
}

/// Whether two revisions are published under the same subject and id, with the same bytes.
fn is_same(one: &Output, other: &Output) -> bool {
    let (one, other) = (&one.message, &other.message);
    (&one.subject, &one.message_id, &one.payload) == (&other.subject, &other.message_id, &other.payload)
}
