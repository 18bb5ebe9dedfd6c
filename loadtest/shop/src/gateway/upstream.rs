//! The cache as the gateway sees it: one attempt is one connect (or one pooled connection), one command, one answer.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::resolve::Resolver;
use crate::cache::protocol::{self, MAX_LINE};

type Connection = BufReader<TcpStream>;

/// What the cache said.
#[derive(Debug)]
pub enum Answer {
    /// It has the key.
    Value(Bytes),
    /// It has not.
    NotFound,
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address.
    #[error("cannot resolve the cache's name")]
    Resolve(#[source] io::Error),
    /// No connection.
    #[error("cannot connect to the cache")]
    Connect(#[source] io::Error),
    /// The connection broke in the middle.
    #[error("lost the connection to the cache")]
    Exchange(#[source] io::Error),
    /// The answer is not the protocol's.
    #[error("the cache answered something else")]
    Protocol,
    /// It took too long.
    #[error("the cache took too long")]
    Timeout,
}

/// How an attempt ended, for the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A value or the word that there is none.
    Answered,
    /// Nobody listens there.
    Refused,
    /// Connected or connecting, and then cut off.
    Reset,
    /// Too long.
    Timeout,
    /// The name has no address.
    Unresolved,
    /// Any other failure of the network.
    Unreachable,
    /// Not our protocol.
    Protocol,
}

/// One attempt, for the access log.
#[derive(Debug, Serialize)]
pub struct Attempt {
    outcome: Outcome,
    duration_ns: u64,
}

impl Error {
    /// The outcome that this failure is.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Resolve(_) => Outcome::Unresolved,
            Self::Connect(source) if source.kind() == io::ErrorKind::ConnectionRefused => Outcome::Refused,
            Self::Connect(source) if source.kind() == io::ErrorKind::ConnectionReset => Outcome::Reset,
            Self::Connect(_) => Outcome::Unreachable,
            Self::Exchange(_) => Outcome::Reset,
            Self::Protocol => Outcome::Protocol,
            Self::Timeout => Outcome::Timeout,
        }
    }
}

/// The way to the cache.
#[derive(Debug)]
pub struct Upstream {
    resolver: Resolver,
    timeout: Duration,
    idle: Mutex<Vec<Connection>>,
    pool: usize,
}

impl Upstream {
    /// Asks `host`, each attempt within `timeout`, keeping up to `pool` idle connections.
    pub fn new(host: String, timeout: Duration, resolve_ttl: Duration, pool: usize) -> Self {
        Self {
            resolver: Resolver::new(host, resolve_ttl),
            timeout,
            idle: Mutex::default(),
            pool,
        }
    }

    /// One attempt.
    pub async fn ask(&self, key: &str) -> (Attempt, Result<Answer, Error>) {
        let start = Instant::now();
        let answer = timeout(self.timeout, self.exchange(key))
            .await
            .unwrap_or(Err(Error::Timeout));
        let outcome = answer.as_ref().map_or_else(Error::outcome, |_| Outcome::Answered);
        let duration_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        (Attempt { outcome, duration_ns }, answer)
    }

    async fn exchange(&self, key: &str) -> Result<Answer, Error> {
        let mut connection = self.connection().await?;
        connection
            .write_all(format!("GET {key}\r\n").as_bytes())
            .await
            .map_err(Error::Exchange)?;
        let answer = read_answer(&mut connection).await?;
        self.give_back(connection);
        Ok(answer)
    }

    async fn connection(&self) -> Result<Connection, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let address = self.resolver.address().await.map_err(Error::Resolve)?;
        let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
        stream.set_nodelay(true).map_err(Error::Connect)?;
        Ok(BufReader::new(stream))
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.pool {
            idle.push(connection);
        }
    }
}

async fn read_answer(connection: &mut Connection) -> Result<Answer, Error> {
    let mut line = Vec::with_capacity(32);
    let mut limited = (&mut *connection).take(MAX_LINE as u64);
    if limited
        .read_until(b'\n', &mut line)
        .await
        .map_err(Error::Exchange)?
        == 0
    {
        return Err(Error::Exchange(io::ErrorKind::UnexpectedEof.into()));
    }
    if line == b"NOTFOUND\r\n" {
        return Ok(Answer::NotFound);
    }
    let length = line
        .strip_prefix(b"VALUE ")
        .and_then(|rest| rest.strip_suffix(b"\r\n"));
    let length = protocol::parse_length(length.ok_or(Error::Protocol)?).map_err(|_| Error::Protocol)?;
    let mut value = vec![0; length + 2];
    connection.read_exact(&mut value).await.map_err(Error::Exchange)?;
    value.truncate(length);
    Ok(Answer::Value(value.into()))
}
