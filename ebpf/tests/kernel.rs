//! Every observer against the kernel this runs on: a real fault, an independent witness, and a control without it.
//! `deploy/test` runs those that
//! need a privilege where there is one.

#[cfg(test)]
#[path = "kernel/capabilities.rs"]
mod capabilities;
#[cfg(test)]
#[path = "kernel/container.rs"]
mod container;
#[cfg(test)]
#[path = "kernel/dns.rs"]
mod dns;
#[cfg(test)]
#[path = "kernel/health_checks.rs"]
mod health_checks;
#[cfg(test)]
#[path = "kernel/http2.rs"]
mod http2;
#[cfg(test)]
#[path = "kernel/layout.rs"]
mod layout;
#[cfg(test)]
#[path = "kernel/network.rs"]
mod network;
#[cfg(test)]
#[path = "kernel/parts.rs"]
mod parts;
#[cfg(test)]
#[path = "kernel/process.rs"]
mod process;
#[cfg(test)]
#[path = "kernel/status.rs"]
mod status;
#[cfg(test)]
#[path = "kernel/sums.rs"]
mod sums;
#[cfg(test)]
#[path = "kernel/support.rs"]
mod support;
#[cfg(test)]
#[path = "kernel/unanswered.rs"]
mod unanswered;
#[cfg(test)]
#[path = "kernel/waits.rs"]
mod waits;
