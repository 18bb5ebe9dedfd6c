//! The shared library of all observers: identity, clocks, rate limits, publishing.
