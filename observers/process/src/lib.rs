//! Observers of executables, signals, exits and containers.
#![forbid(unsafe_code)]

pub mod containers;
pub mod convert;
pub mod signals;

use observer_base::family::NoOptions;
use observer_base::{Family, Observer};

/// The process family.
#[derive(Debug)]
pub struct Process;

impl Family for Process {
    const TOKEN: &'static str = "process";
    type Options = NoOptions;

    fn observer(token: &str, _options: &NoOptions) -> Option<Box<dyn Observer>> {
        match token {
            "process-signals" => Some(Box::new(signals::Signals)),
            "container-runtime" => Some(Box::new(containers::Containers)),
            _ => None,
        }
    }
}
