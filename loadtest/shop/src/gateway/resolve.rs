//! Where the cache is: one address for a host name, remembered for a short while.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::Instant;

/// Resolves one `host:port` again and again.
#[derive(Debug)]
pub struct Resolver {
    host: String,
    ttl: Duration,
    last: Mutex<Option<(Instant, SocketAddr)>>,
}

impl Resolver {
    /// A resolver of `host`, whose answer is good for `ttl`.
    pub fn new(host: String, ttl: Duration) -> Self {
        Self {
            host,
            ttl,
            last: Mutex::new(None),
        }
    }

    /// One address, IPv4 before IPv6: an attempt is one connect, so a second address is never tried within it.
    pub async fn address(&self) -> io::Result<SocketAddr> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let found: Vec<SocketAddr> = lookup_host(&self.host).await?.collect();
        let address = found
            .iter()
            .find(|address| address.is_ipv4())
            .or(found.first())
            .copied();
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), address));
        Ok(address)
    }

    fn known(&self) -> Option<SocketAddr> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(when, _)| when.elapsed() < self.ttl)
            .map(|(_, address)| address)
    }
}
