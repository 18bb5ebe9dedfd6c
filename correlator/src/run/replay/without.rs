//! A recording as it would be if something had not been: counterfactual questions.

use std::str::FromStr;

use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::EventId;
use bus_schema::batch::EncodeError;
use bus_schema::event::{Body, Event};
use bus_schema::names::TOPOLOGY_STREAM;
use bus_schema::topology::Relations;

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Without {
    /// One event, by its id.
    Event(EventId),
    /// Everything about one entity, by its key: `Deployment/shop/redis`.
    Entity(String),
    /// Everything that one observer tells, by its name: `process-signals`.
    Observer(String),
}

impl FromStr for Without {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(id) => Self::Event(id),
            Err(_) if text.contains('/') => Self::Entity(text.to_owned()),
            Err(_) => Self::Observer(text.to_owned()),
        })
    }
}

impl Without {
    /// The message without it; nothing of a message that tells of nothing else.
    ///
    /// # Errors
    /// When what is left cannot be encoded.
    pub fn take_out(&self, codec: &mut Codec, message: Recorded) -> Result<Option<Recorded>, EncodeError> {
        if message.stream == TOPOLOGY_STREAM {
            return Ok(self.keeps_relations(&message).then_some(message));
        }
        let edited = message.edit(codec, |batch| {
            let is_of_observer =
                matches!(self, Self::Observer(observer) if *observer == batch.header.observer);
            batch
                .events
                .retain(|event| !is_of_observer && !self.is_told_by(event));
        });
        edited.map(Some)
    }

    fn is_told_by(&self, event: &Event) -> bool {
        match self {
            Self::Event(id) => event.id == *id,
            Self::Entity(key) => {
                let object = event.object.as_ref();
                event.subject.key() == *key || object.is_some_and(|object| object.key() == *key)
            }
            Self::Observer(observer) => {
                matches!(&event.body, Body::Capability(capability) if capability.observer == *observer)
            }
        }
    }

    fn keeps_relations(&self, message: &Recorded) -> bool {
        let Self::Entity(key) = self else {
            return true;
        };
        let relations = Relations::decode(&message.payload);
        relations.map_or(true, |relations| relations.from.key() != *key)
    }
}
