//! The cache: a key-value server over plain TCP that can leak memory, all the time or with each request.

pub mod connection;
pub mod protocol;
pub mod store;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::leak::{self, Hoard};
use crate::{Error, clock, serve};
use store::Store;

/// A key-value server over plain TCP, which can leak memory.
///
/// The protocol is text, with CR LF line ends: `GET key` answers `VALUE length`, a line end, the value and a line end,
/// or `NOTFOUND`; `SET key length`, a line end, the value and a line end answers `STORED` or `FULL`; `PING` answers
/// `PONG`. Anything else answers `ERROR reason` and closes the connection.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Where to listen; port 0 takes a free one. The bound address is printed on stdout.
    #[arg(
        long,
        env = "TAPIO_SHOP_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:6379"
    )]
    listen: String,
    /// Keep and touch this much more memory each second, such as 12MiB; 0 is no leak.
    #[arg(
        long,
        env = "TAPIO_SHOP_LEAK",
        value_name = "BYTES_PER_SECOND",
        default_value = "0"
    )]
    leak: ByteSize,
    /// Start the steady leak only after this long.
    #[arg(long, env = "TAPIO_SHOP_LEAK_AFTER", value_name = "DURATION", default_value = "0s",
          value_parser = humantime::parse_duration)]
    leak_after: Duration,
    /// Keep and touch this much more memory with each GET.
    #[arg(
        long,
        env = "TAPIO_SHOP_LEAK_PER_REQUEST",
        value_name = "BYTES",
        default_value = "0"
    )]
    leak_per_request: ByteSize,
    /// Stop leaking at this much, so that a forgotten leak does not take the machine.
    #[arg(
        long,
        env = "TAPIO_SHOP_LEAK_LIMIT",
        value_name = "BYTES",
        default_value = "1GiB"
    )]
    leak_limit: ByteSize,
    /// How many keys are there from the start: `item:0`, `item:1` and so on.
    #[arg(long, env = "TAPIO_SHOP_KEYS", value_name = "N", default_value_t = 100)]
    keys: u32,
    /// How long their values are.
    #[arg(
        long,
        env = "TAPIO_SHOP_VALUE_SIZE",
        value_name = "BYTES",
        default_value = "100B"
    )]
    value_size: ByteSize,
    /// How much keys and values may take together; SET answers FULL beyond it.
    #[arg(
        long,
        env = "TAPIO_SHOP_CAPACITY",
        value_name = "BYTES",
        default_value = "16MiB"
    )]
    capacity: ByteSize,
    /// How many connections are served at a time.
    #[arg(
        long,
        env = "TAPIO_SHOP_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 1024
    )]
    max_connections: usize,
}

/// What all connections of one cache share.
#[derive(Debug)]
pub struct Cache {
    store: Mutex<Store>,
    hoard: Mutex<Hoard>,
    leak_per_request: usize,
}

#[derive(Serialize)]
struct Accepted {
    time_ns: u64,
    role: &'static str,
    peer: SocketAddr,
}

impl Cache {
    fn new(args: &CacheArgs) -> Result<Self, Error> {
        let mut store = Store::new(size(args.capacity)?);
        if !store.fill(args.keys, size(args.value_size)?) {
            return Err(Error::Config(
                "--keys of --value-size do not fit into --capacity".into(),
            ));
        }
        Ok(Self {
            store: Mutex::new(store),
            hoard: Mutex::new(Hoard::new(size(args.leak_limit)?)),
            leak_per_request: size(args.leak_per_request)?,
        })
    }

    fn get(&self, key: &[u8]) -> Option<bytes::Bytes> {
        self.keep(self.leak_per_request);
        self.store.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    fn set(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set(key, value)
    }

    fn keep(&self, bytes: usize) {
        self.hoard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(bytes);
    }
}

/// Serves until `stop`, then drains.
pub async fn run(
    args: CacheArgs,
    drain: Duration,
    log: AccessLog,
    stop: CancellationToken,
) -> Result<(), Error> {
    let cache = Arc::new(Cache::new(&args)?);
    let listener = serve::listen("cache", &args.listen).await?;
    if args.leak.as_u64() > 0 {
        let hoarder = Arc::clone(&cache);
        tokio::spawn(leak::leak(
            args.leak.as_u64(),
            args.leak_after,
            stop.clone(),
            move |bytes| {
                hoarder.keep(bytes);
            },
        ));
    }
    let ending = stop.clone();
    let handle = |stream: TcpStream, peer: SocketAddr| {
        log.write(&Accepted {
            time_ns: clock::unix_ns(),
            role: "cache",
            peer,
        });
        let (cache, ending) = (Arc::clone(&cache), ending.clone());
        async move {
            if let Err(error) = connection::serve(stream, &cache, &ending).await {
                tracing::debug!(%peer, %error, "connection broke");
            }
        }
    };
    serve::connections(listener, args.max_connections, drain, stop, handle).await;
    Ok(())
}

fn size(bytes: ByteSize) -> Result<usize, Error> {
    usize::try_from(bytes.as_u64())
        .map_err(|_| Error::Config(format!("{bytes} is more than this machine addresses")))
}
