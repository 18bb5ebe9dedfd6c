//! The memory observer: growth of control groups towards their limits, and pressure of the node.

pub mod accounting;
pub mod growth;
pub mod pressure;
