//! Observers of connections, names, protocol status and link.
#![forbid(unsafe_code)]

pub mod connections;
pub mod convert;
pub mod dns;
pub mod families;
pub mod http2;
pub mod link;
pub mod listeners;
pub mod namespaces;
pub mod proxies;
pub mod queues;
pub mod status;
mod tls;
mod unread;
pub mod waits;

use observer_base::{Family, Observer};

/// The network family.
#[derive(Debug)]
pub struct Network;

impl Family for Network {
    const TOKEN: &'static str = "network";

    fn observer(token: &str) -> Option<Box<dyn Observer>> {
        match token {
            "network" => Some(Box::new(connections::Connections)),
            "dns" => Some(Box::new(dns::Dns)),
            "link" => Some(Box::new(link::Link)),
            "status" => Some(Box::new(status::Status)),
            _ => None,
        }
    }
}
