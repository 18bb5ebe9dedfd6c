//! One condition of an object's status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::nanoseconds;

/// Whether it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lifecycle) enum Truth {
    True,
    False,
    Unknown,
}

/// A condition, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Condition {
    pub(in crate::lifecycle) truth: Truth,
    pub(in crate::lifecycle) reason: String,
    pub(in crate::lifecycle) message: String,
    /// Since when it has been so, UNIX ns.
    pub(in crate::lifecycle) since_ns: u64,
}

impl Condition {
    pub(super) fn new(
        status: &str,
        reason: Option<&String>,
        message: Option<&String>,
        since: Option<&Time>,
    ) -> Self {
        Self {
            truth: match status {
                "True" => Truth::True,
                "False" => Truth::False,
                _ => Truth::Unknown,
            },
            reason: reason.cloned().unwrap_or_default(),
            message: message.cloned().unwrap_or_default(),
            since_ns: nanoseconds(since),
        }
    }

    /// Whether it is so.
    pub(in crate::lifecycle) fn is(&self, truth: Truth) -> bool {
        self.truth == truth
    }
}

/// The condition of that type among those of a status. Each kind of object has a type of conditions of its own, with the same
/// fields.
macro_rules! condition {
    ($conditions:expr, $kind:expr) => {
        $conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == $kind)
            .map(|found| {
                let since = found.last_transition_time.as_ref();
                $crate::lifecycle::facts::Condition::new(
                    &found.status,
                    found.reason.as_ref(),
                    found.message.as_ref(),
                    since,
                )
            })
    };
}

pub(super) use condition;
