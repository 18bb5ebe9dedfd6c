//! One client of the cache: commands in, answers out, until it goes or the cache stops.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Cache;
use super::protocol::{self, Command, MAX_LINE};

/// Serves one client. On `stop` the command in flight is still answered.
pub async fn serve(stream: TcpStream, cache: &Cache, stop: &CancellationToken) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut client = BufReader::new(stream);
    loop {
        let Some(waiting) = stop.run_until_cancelled(client.fill_buf()).await else {
            return Ok(());
        };
        if waiting?.is_empty() {
            return Ok(());
        }
        match command(&mut client, cache).await? {
            Ok(answer) => client.write_all(&answer).await?,
            Err(error) => return client.write_all(format!("ERROR {error}\r\n").as_bytes()).await,
        }
    }
}

async fn command(
    client: &mut BufReader<TcpStream>,
    cache: &Cache,
) -> io::Result<Result<Vec<u8>, protocol::Error>> {
    let mut line = Vec::with_capacity(64);
    (&mut *client)
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)
        .await?;
    Ok(match protocol::parse(&line) {
        Ok(Command::Ping) => Ok(b"PONG\r\n".to_vec()),
        Ok(Command::Get(key)) => Ok(cache
            .get(key)
            .map_or_else(|| b"NOTFOUND\r\n".to_vec(), |value| found(&value))),
        Ok(Command::Set(key, length)) => read_value(client, length)
            .await?
            .map(|value| stored(cache.set(key, value))),
        Err(error) => Err(error),
    })
}

fn found(value: &[u8]) -> Vec<u8> {
    let head = format!("VALUE {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn stored(fits: bool) -> Vec<u8> {
    if fits {
        b"STORED\r\n".to_vec()
    } else {
        b"FULL\r\n".to_vec()
    }
}

async fn read_value(
    client: &mut BufReader<TcpStream>,
    length: usize,
) -> io::Result<Result<Vec<u8>, protocol::Error>> {
    let mut value = vec![0; length + 2];
    client.read_exact(&mut value).await?;
    Ok(if value.ends_with(b"\r\n") {
        value.truncate(length);
        Ok(value)
    } else {
        Err(protocol::Error::Value)
    })
}
