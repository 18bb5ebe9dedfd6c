//! What can hold on an entity: the rows of `rules/*/conditions.yaml`. The code knows shapes and folds events by them; no
//! condition has a name here.

mod catalogue;
mod event;
mod facts;
mod filters;
pub mod row;
mod traits;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use catalogue::{Catalogue, Error};
pub(crate) use event::{Preceding, Reading};
pub use filters::bytes_text;
pub use row::Row;
pub(crate) use traits::Traits;

/// The name of a row: the same in episodes, rules and incidents. Copied and compared like a number's; what is written once is
/// kept for the life of the process, and there are as many as rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition(&'static str);

static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl Condition {
    /// The condition of that name. For names of rows, and those that a checkpoint of this process holds; whatever else arrives
    /// is asked for with [`Catalogue::condition`].
    pub fn named(token: &str) -> Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = known.get(token).copied().unwrap_or_else(|| {
            let name: &'static str = Box::leak(token.to_owned().into_boxed_str());
            known.insert(name);
            name
        });
        Self(name)
    }

    /// The name.
    pub fn token(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Self::named(&name))
    }
}
