//! A small shop that breaks for real: a cache, a gateway that asks it and users who ask the gateway.
//! Nothing in it is scripted; whatever an observer sees of it, the kernel did.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod args;
pub mod cache;
pub mod clock;
pub mod error;
pub mod gateway;
pub mod leak;
pub mod serve;
pub mod users;

pub use error::Error;
