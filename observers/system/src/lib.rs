//! Observers of system health, systemd and OpenTelemetry.
#![forbid(unsafe_code)]

use observer_base::{Family, Observer};

/// The system family.
#[derive(Debug)]
pub struct System;

impl Family for System {
    const TOKEN: &'static str = "system";

    fn observer(_token: &str) -> Option<Box<dyn Observer>> {
        None
    }
}
