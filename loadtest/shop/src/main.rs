//! A small shop that breaks for real: cache, gateway and users.

fn main() {}
