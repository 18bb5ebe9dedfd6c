//! A recording as a worse-off Tapio would have heard it: an observer is away, or events are lost on the way.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_client::last_minute::LastMinute;
use bus_schema::batch::EncodeError;
use bus_schema::event::node::Loss;
use bus_schema::event::{Body, Event};
use bus_schema::names::TOPOLOGY_STREAM;
use bus_schema::{Batch, Entity, Severity};
use correlator::run::replay::without::Without;

/// Decides which events are lost.
const SEED: u64 = 1;

/// What is worse.
#[derive(Debug, Clone, PartialEq)]
pub enum Worse {
    /// Nothing.
    Nothing,
    /// An observer is not there.
    Without(String),
    /// This share of the events is lost, and it is known how many.
    Losing(f64),
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("as recorded"),
            Self::Without(observer) => write!(f, "without {observer}"),
            Self::Losing(share) => write!(f, "{:.0} % of events lost", share * 100.0),
        }
    }
}

/// Makes messages worse, one after the other.
#[derive(Debug)]
pub struct Worsening {
    worse: Worse,
    codec: Codec,
    dice: fastrand::Rng,
    /// What each producer sent.
    sent: BTreeMap<String, Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    total: u64,
    lately: LastMinute,
}

impl Worsening {
    /// The same recording is made worse in the same way each time.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn new(worse: Worse) -> Result<Self> {
        Ok(Self {
            worse,
            codec: Codec::new()?,
            dice: fastrand::Rng::with_seed(SEED),
            sent: BTreeMap::new(),
        })
    }

    /// The message as it is left.
    ///
    /// # Errors
    /// When that cannot be encoded.
    pub fn apply(&mut self, message: Recorded) -> Result<Option<Recorded>, EncodeError> {
        match &self.worse {
            Worse::Nothing => Ok(Some(message)),
            Worse::Without(observer) => {
                Without::Observer(observer.clone()).take_out(&mut self.codec, message)
            }
            Worse::Losing(_) if message.stream == TOPOLOGY_STREAM => Ok(Some(message)),
            Worse::Losing(share) => {
                let (dice, sent, share) = (&mut self.dice, &mut self.sent, *share);
                let edited = message.edit(&mut self.codec, |batch| lose(batch, dice, sent, share));
                edited.map(Some)
            }
        }
    }
}

fn lose(batch: &mut Batch, dice: &mut fastrand::Rng, sent: &mut BTreeMap<String, Sent>, share: f64) {
    let before = batch.events.len();
    batch.events.retain(|_| dice.f64() >= share);
    let lost = before - batch.events.len();
    let producer = format!("{}/{}", batch.header.node, batch.header.observer);
    let sent = sent.entry(producer).or_default();
    sent.total += batch.events.len() as u64;
    let lately = sent.lately.of(batch.header.received_ns, sent.total);
    if lost > 0 {
        tell_loss(batch, lost as u64, lately);
    }
}

/// As the observer would have told it.
fn tell_loss(batch: &mut Batch, count: u64, sent: u64) {
    let header = &batch.header;
    let time_ns = batch
        .events
        .first()
        .map_or(header.received_ns, |event| event.time_ns);
    let loss = Loss {
        observer: header.observer.clone(),
        reason: "rate_limit".into(),
        sent: Some(sent),
    };
    let event = Event {
        id: bus_schema::EventId::of_parts(
            time_ns,
            &["lost", &header.producer(), &header.first_sequence.to_string()],
        ),
        time_ns,
        observed_ns: time_ns,
        severity: Severity::Notice,
        subject: Entity::of_node(&header.node),
        object: None,
        count,
        window_ns: 0,
        trace: None,
        body: Body::Loss(loss),
    };
    batch.events.push(event);
}

#[cfg(test)]
mod tests {
    use bus_schema::samples::{Samples, Shape};

    use super::*;

    fn recorded(events: u64) -> Recorded {
        let mut batch = Samples::new(Shape::of_a_node(events), 1).next().unwrap();
        batch.header.observer = "status".into();
        let mut payload = Vec::new();
        batch.encode(&mut payload).unwrap();
        Recorded {
            stream: "TAPIO_ENRICHED_0".into(),
            sequence: 1,
            stored_ns: 1,
            subject: "s".into(),
            payload: payload.into(),
        }
    }

    fn left(worse: Worse) -> Vec<Event> {
        let message = Worsening::new(worse).unwrap().apply(recorded(1000));
        let message = message.unwrap().unwrap();
        Batch::decode(&message.payload).unwrap().events
    }

    #[test]
    fn what_is_lost_is_told_and_the_same_each_time() {
        let events = left(Worse::Losing(0.2));
        let told = events.last().unwrap();
        assert_eq!(told.count + events.len() as u64 - 1, 1000);
        assert!((150..250).contains(&told.count), "{}", told.count);
        assert_eq!(left(Worse::Losing(0.2)), events);
        assert_eq!(left(Worse::Nothing).len(), 1000);
    }

    #[test]
    fn an_observer_that_is_away_tells_nothing() {
        assert_eq!(left(Worse::Without("status".into())), []);
        assert_eq!(left(Worse::Without("memory".into())).len(), 1000);
    }
}
