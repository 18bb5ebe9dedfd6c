//! Observers of the Kubernetes API server and the kubelet of the node.
#![forbid(unsafe_code)]

pub mod deployments;
pub mod election;
mod health;
mod leader;
pub mod lifecycle;
mod server;

use observer_base::family::NoOptions;
use observer_base::{Family, Observer};

/// The kubernetes family.
#[derive(Debug)]
pub struct Kubernetes;

impl Family for Kubernetes {
    const TOKEN: &'static str = "kubernetes";
    type Options = NoOptions;

    fn observer(token: &str, _options: &NoOptions) -> Option<Box<dyn Observer>> {
        match token {
            "deployments" => Some(Box::new(deployments::Deployments)),
            "lifecycle" => Some(Box::new(lifecycle::Lifecycle)),
            _ => None,
        }
    }
}
