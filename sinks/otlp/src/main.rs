//! Exports incidents.
fn main() {}
