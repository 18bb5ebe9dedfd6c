//! An event and the names by which it is folded, written once for all tables that look them up.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bus_schema::Entity;
use bus_schema::event::Event;
use serde::{Deserialize, Serialize};

/// Name of an entity, shared by all tables it stands in; empty for nobody.
///
/// Names of one cluster begin alike, and every event is looked up in several tables: the hash decides most comparisons. It is
/// the same in every run, and so is the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Name(u64, Arc<str>);

impl Name {
    pub(super) fn of(entity: Option<&Entity>) -> Self {
        entity.map(Entity::key).map(Self::from).unwrap_or_default()
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::from(String::new())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish(), name.into())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.1.as_ref().to_owned()
    }
}

/// Two names; the second is empty where there is no object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends {
    pub(super) subject: Name,
    pub(super) object: Name,
}

impl Ends {
    /// Both hashes come before any text: who has many peers is compared with itself all the time.
    fn order(&self) -> (u64, u64, &str, &str) {
        let Self {
            subject: Name(subject_hash, subject),
            object: Name(object_hash, object),
        } = self;
        (*subject_hash, *object_hash, subject, object)
    }
}

impl Ord for Ends {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Ends {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An event with the names of its ends.
pub(super) struct Seen<'a> {
    pub(super) event: &'a Event,
    pub(super) ends: Ends,
}

impl<'a> Seen<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        let (subject, object) = (Name::of(Some(&event.subject)), Name::of(event.object.as_ref()));
        Self {
            event,
            ends: Ends { subject, object },
        }
    }
}
