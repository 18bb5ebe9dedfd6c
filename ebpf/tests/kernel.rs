//! Every observer against the kernel this runs on: a real fault, an independent witness, and a control without it.
//! Needs root and BTF; says `SKIP: …` where either is missing.

#[path = "kernel/container.rs"]
mod container;
#[path = "kernel/layout.rs"]
mod layout;
#[path = "kernel/network.rs"]
mod network;
#[path = "kernel/process.rs"]
mod process;
#[path = "kernel/status.rs"]
mod status;
#[path = "kernel/support.rs"]
mod support;
