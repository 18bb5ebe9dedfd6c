//! Which rung each hook stands on, and why not on a better one.

use std::fmt;

/// How a program is attached, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// BTF-typed raw tracepoint: arguments are followed directly and checked.
    TpBtf,
    /// Raw tracepoint: arguments are probed.
    RawTp,
    /// Classic tracepoint through tracefs.
    Tracepoint,
    /// Entry of a kernel's function: arguments are followed directly.
    Fentry,
    /// Packets of all control groups.
    CgroupSkb,
    /// Sockets of all control groups.
    CgroupSock,
}

impl Rung {
    /// All of them, best first.
    pub const ALL: &[Self] = &[
        Self::TpBtf,
        Self::RawTp,
        Self::Tracepoint,
        Self::Fentry,
        Self::CgroupSkb,
        Self::CgroupSock,
    ];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TpBtf => "tp_btf",
            Self::RawTp => "raw_tp",
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::CgroupSkb => "cgroup_skb",
            Self::CgroupSock => "cgroup_sock",
        })
    }
}

/// Whether an observer is blind without the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the observer does not see what it is there for.
    Required,
    /// Without it a detail is missing.
    Optional,
}

/// A rung that was tried and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rung.
    pub rung: Rung,
    /// What the kernel (or the loader) said, on one line.
    pub reason: String,
}

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReport {
    /// The observer that needs the hook.
    pub observer: &'static str,
    /// The kernel's name of it.
    pub hook: &'static str,
    /// Whether the observer is blind without it.
    pub need: Need,
    /// The oldest kernel (major, minor) known to have it.
    pub minimum: (u32, u32),
    /// The rung it is on; `None` when it is not attached.
    pub rung: Option<Rung>,
    /// Another way was found for the whole observer, so this hook no longer matters.
    pub superseded: bool,
    /// The rungs above, with the reasons.
    pub refused: Vec<Refusal>,
}

impl HookReport {
    /// The observer is blind for lack of this hook.
    pub fn is_blind(&self) -> bool {
        self.rung.is_none() && !self.superseded && self.need == Need::Required
    }
}
