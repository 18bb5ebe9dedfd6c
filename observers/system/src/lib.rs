//! Observers of system health, systemd and OpenTelemetry.
#![forbid(unsafe_code)]

use observer_base::family::NoOptions;
use observer_base::{Family, Observer};

/// The system family.
#[derive(Debug)]
pub struct System;

impl Family for System {
    const TOKEN: &'static str = "system";
    type Options = NoOptions;

    fn observer(_token: &str, _options: &NoOptions) -> Option<Box<dyn Observer>> {
        None
    }
}
