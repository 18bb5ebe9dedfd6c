//! Observers of memory growth and storage.
#![forbid(unsafe_code)]

pub mod memory;

use observer_base::family::NoOptions;
use observer_base::{Family, Observer};

/// The memory family.
#[derive(Debug)]
pub struct Memory;

impl Family for Memory {
    const TOKEN: &'static str = "memory";
    type Options = NoOptions;

    fn observer(token: &str, _options: &NoOptions) -> Option<Box<dyn Observer>> {
        match token {
            "memory" => Some(Box::new(memory::MemoryObserver)),
            _ => None,
        }
    }
}
