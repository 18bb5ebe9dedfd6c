//! `tapio-enricher`.
fn main() {}
