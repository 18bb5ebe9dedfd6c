//! The gateway: HTTP/1.1 in front of the cache, with a naive retry and, on request, a bug of its own.

pub mod fault;
pub mod resolve;
pub mod upstream;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::{Error, clock, serve};
use fault::Fault;
use upstream::{Answer, Attempt, Upstream};

/// A client that does not finish its request head within this time is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP/1.1 server that answers from the cache and retries at once, without back-off.
///
/// `GET /items/7` asks the cache for the key `item:7`: 200 with its value, 404 when there is none, 500 when the cache
/// could not be asked. `GET /healthz` answers 200 without asking it.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// Where to listen; port 0 takes a free one. The bound address is printed on stdout.
    #[arg(
        long,
        env = "TAPIO_SHOP_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,
    /// The cache, as host:port.
    #[arg(
        long,
        env = "TAPIO_SHOP_CACHE",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:6379"
    )]
    cache: String,
    /// How often the cache is asked for one request before the answer is 500; no pause between.
    #[arg(long, env = "TAPIO_SHOP_ATTEMPTS", value_name = "N", default_value = "3")]
    attempts: NonZeroU32,
    /// How long one attempt may take.
    #[arg(long, env = "TAPIO_SHOP_TIMEOUT", value_name = "DURATION", default_value = "1s",
          value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How many idle connections to the cache are kept; 0 makes a new one for each attempt.
    #[arg(long, env = "TAPIO_SHOP_POOL", value_name = "N", default_value_t = 0)]
    pool: usize,
    /// How long a resolved address of the cache is used.
    #[arg(long, env = "TAPIO_SHOP_RESOLVE_TTL", value_name = "DURATION", default_value = "2s",
          value_parser = humantime::parse_duration)]
    resolve_ttl: Duration,
    /// A bug: answer this share of requests with 500 although the cache answered.
    #[arg(long, env = "TAPIO_SHOP_FAIL_RATIO", value_name = "P", default_value_t = 0.0)]
    fail_ratio: f64,
    /// The same as --fail-ratio 1.
    #[arg(long, env = "TAPIO_SHOP_FAIL_ALL", conflicts_with = "fail_ratio")]
    fail_all: bool,
    /// How many connections are served at a time.
    #[arg(
        long,
        env = "TAPIO_SHOP_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 1024
    )]
    max_connections: usize,
}

#[derive(Debug)]
struct Gateway {
    upstream: Upstream,
    attempts: NonZeroU32,
    fault: Fault,
    log: AccessLog,
}

#[derive(Serialize)]
struct Served<'a> {
    time_ns: u64,
    role: &'static str,
    path: &'a str,
    status: u16,
    attempts: &'a [Attempt],
    bug: bool,
}

/// Serves until `stop`, then drains.
pub async fn run(
    args: GatewayArgs,
    drain: Duration,
    log: AccessLog,
    stop: CancellationToken,
) -> Result<(), Error> {
    let gateway = Arc::new(Gateway::new(&args, log)?);
    let listener = serve::listen("gateway", &args.listen).await?;
    let ending = stop.clone();
    let handle =
        |stream: TcpStream, peer: SocketAddr| client(stream, peer, Arc::clone(&gateway), ending.clone());
    serve::connections(listener, args.max_connections, drain, stop, handle).await;
    Ok(())
}

async fn client(stream: TcpStream, peer: SocketAddr, gateway: Arc<Gateway>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.answer(&request).await) }
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let mut connection = Box::pin(server.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection broke");
    }
}

impl Gateway {
    fn new(args: &GatewayArgs, log: AccessLog) -> Result<Self, Error> {
        let ratio = if args.fail_all { 1.0 } else { args.fail_ratio };
        let fault =
            Fault::new(ratio).ok_or_else(|| Error::Config("--fail-ratio is not between 0 and 1".into()))?;
        if !args.cache.contains(':') {
            return Err(Error::Config(format!("--cache {} has no port", args.cache)));
        }
        let upstream = Upstream::new(args.cache.clone(), args.timeout, args.resolve_ttl, args.pool);
        Ok(Self {
            upstream,
            attempts: args.attempts,
            fault,
            log,
        })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if path == "/healthz" {
            return respond(StatusCode::OK, Bytes::from_static(b"ok\n"));
        }
        let mut attempts = Vec::new();
        let (mut status, mut body) = self.ask(&key_of(path), &mut attempts).await;
        let bug = status == StatusCode::OK && self.fault.strikes();
        if bug {
            (status, body) = (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"bug\n"));
        }
        self.log.write(&Served {
            time_ns: clock::unix_ns(),
            role: "gateway",
            path,
            status: status.as_u16(),
            attempts: &attempts,
            bug,
        });
        respond(status, body)
    }

    async fn ask(&self, key: &str, attempts: &mut Vec<Attempt>) -> (StatusCode, Bytes) {
        for _ in 0..self.attempts.get() {
            let (attempt, answer) = self.upstream.ask(key).await;
            attempts.push(attempt);
            match answer {
                Ok(Answer::Value(value)) => return (StatusCode::OK, value),
                Ok(Answer::NotFound) => return (StatusCode::NOT_FOUND, Bytes::from_static(b"not found\n")),
                Err(error) => tracing::debug!(key, error = %Chain(&error), "attempt failed"),
            }
        }
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Bytes::from_static(b"the cache cannot be asked\n"),
        )
    }
}

/// `/items/7` is `item:7`, and so is `/7`; `/` is `item:0`.
fn key_of(path: &str) -> String {
    let last = path
        .rsplit('/')
        .next()
        .filter(|last| !last.is_empty())
        .unwrap_or("0");
    format!("item:{last}")
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| error.source())
            .try_for_each(|error| write!(out, ": {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_last_part_of_the_path() {
        assert_eq!(key_of("/items/7"), "item:7");
        assert_eq!(key_of("/7"), "item:7");
        assert_eq!(key_of("/"), "item:0");
    }
}
