//! Observers of the Kubernetes API server and the kubelet of the node.
#![forbid(unsafe_code)]

use observer_base::{Family, Observer};

/// The kubernetes family.
#[derive(Debug)]
pub struct Kubernetes;

impl Family for Kubernetes {
    const TOKEN: &'static str = "kubernetes";

    fn observer(_token: &str) -> Option<Box<dyn Observer>> {
        None
    }
}
