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

/// What can be set of the network family.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Answers of name servers that take longer are told as slow.
    #[arg(long, env = "TAPIO_DNS_SLOW", default_value_t = dns::SLOW.into())]
    pub dns_slow: humantime::Duration,
}

impl Default for Options {
    fn default() -> Self {
        let dns_slow = dns::SLOW.into();
        Self { dns_slow }
    }
}

/// The network family.
#[derive(Debug)]
pub struct Network;

impl Family for Network {
    const TOKEN: &'static str = "network";
    type Options = Options;

    fn observer(token: &str, options: &Options) -> Option<Box<dyn Observer>> {
        match token {
            "network" => Some(Box::new(connections::Connections)),
            "dns" => Some(Box::new(dns::Dns::slower_than(options.dns_slow.into()))),
            "link" => Some(Box::new(link::Link)),
            "status" => Some(Box::new(status::Status)),
            _ => None,
        }
    }
}
