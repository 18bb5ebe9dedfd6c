//! Changes by kubectl, one a row, and what is told of each.

mod bounds;
mod configuration;
mod controls;
mod network;
mod workloads;

/// One change.
pub(crate) struct Case {
    /// A line of shell in the namespace of the shop.
    pub(crate) does: &'static str,
    /// Each event that is told of it, line by line.
    pub(crate) told: &'static [&'static str],
}

const fn case(does: &'static str, told: &'static [&'static str]) -> Case {
    Case { does, told }
}

/// All of them, in the order in which they are done: each begins where the one before ended.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        workloads::CASES,
        configuration::CASES,
        network::CASES,
        bounds::CASES,
        controls::CASES,
    ]
    .into_iter()
    .flatten()
}
