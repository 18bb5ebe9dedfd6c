//! What is wrong with an object now, as far as one look at it tells.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::event::kubernetes::{Reason, State};

/// Whatever is never.
pub(super) const NEVER: u64 = u64::MAX;

/// One state in which an object is, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which.
    pub(super) state: State,
    /// The container that is meant; empty for the whole object.
    pub(super) container: String,
    pub(super) because: Because,
    /// When it began, UNIX ns.
    pub(super) since_ns: u64,
    /// When it may be told: before that it may pass by itself.
    pub(super) due_ns: u64,
    /// When it ends if nothing is heard until then.
    pub(super) until_ns: u64,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Because {
    pub(super) reason: Reason,
    /// The object that causes it.
    pub(super) object: Option<Entity>,
    pub(super) details: BTreeMap<String, String>,
    pub(super) message: String,
}

impl Because {
    pub(super) fn of(reason: Reason) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }

    /// What Kubernetes says, where nothing else is said.
    #[must_use]
    pub(super) fn saying(self, message: &str) -> Self {
        Self {
            message: shortened(message),
            ..self
        }
    }

    #[must_use]
    pub(super) fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.details.insert(name.to_owned(), shortened(&value));
        }
        self
    }

    #[must_use]
    pub(super) fn object(self, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            object: Some(Entity::of_object(kind, namespace, name)),
            ..self
        }
    }

    /// Whether it says the same as `other`, whatever the numbers in its message.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.reason == other.reason && self.object == other.object
    }

    /// Whether a reason is given at all.
    pub(super) fn is_known(&self) -> bool {
        self.reason != Reason::Unknown
    }

    /// Whether it says less than any other reason: it does not replace one.
    pub(super) fn is_vague(&self) -> bool {
        matches!(self.reason, Reason::Unknown | Reason::ImagePullFailed)
    }
}

impl Finding {
    /// A state of the whole object that may be told at once.
    pub(super) fn new(state: State, since_ns: u64, because: Because) -> Self {
        Self {
            state,
            container: String::new(),
            because,
            since_ns,
            due_ns: 0,
            until_ns: NEVER,
        }
    }

    #[must_use]
    pub(super) fn of_container(self, name: &str) -> Self {
        Self {
            container: name.to_owned(),
            because: self.because.detail("container", name),
            ..self
        }
    }

    /// It may pass by itself within this time. Where it may not, the clocks of others do not matter.
    #[must_use]
    pub(super) fn lasting(self, patience_ns: u64) -> Self {
        let begun_ns = self.since_ns;
        if patience_ns == 0 {
            self
        } else {
            self.not_before(begun_ns.saturating_add(patience_ns))
        }
    }

    #[must_use]
    pub(super) fn not_before(self, due_ns: u64) -> Self {
        Self { due_ns, ..self }
    }

    #[must_use]
    pub(super) fn until(self, until_ns: u64) -> Self {
        Self { until_ns, ..self }
    }
}

/// Most bytes of a message that are told.
const MESSAGE_BYTES: usize = 400;

/// Cut at a character; whitespace at its end goes.
pub(super) fn shortened(message: &str) -> String {
    let message = message.trim();
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = shortened(&"ä".repeat(MESSAGE_BYTES));
        assert_eq!(cut.len(), MESSAGE_BYTES);
        assert_eq!(shortened(" short \n"), "short");
        assert!(shortened(&format!("x{}", "ä".repeat(MESSAGE_BYTES))).len() < MESSAGE_BYTES);
    }
}
