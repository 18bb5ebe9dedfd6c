//! How bad it is, for the person on call: an ordered scale shared by events, episodes and incidents.

use serde::{Deserialize, Serialize};

/// Ordered from harmless to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Normal life; aggregates.
    #[default]
    Info,
    /// A change somebody made.
    Notice,
    /// A deviation that may heal by itself.
    Warning,
    /// Something failed.
    Error,
    /// Users are hurt, or will be.
    Critical,
}

impl Severity {
    /// Every value, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
    ];

    /// The lower-case word used in subjects, JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// Whether a batch that holds it leaves at once instead of waiting for its linger time.
    pub fn is_urgent(self) -> bool {
        self >= Self::Error
    }
}
