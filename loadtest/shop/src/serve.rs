//! What both servers do: listen, say so, take connections up to a limit, and drain on stop within a deadline.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;

/// How long to let connections end when the process has no file descriptor left for another.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Ready<'a> {
    role: &'a str,
    listening: SocketAddr,
}

/// Listens on `address` (with `SO_REUSEADDR`, so that a killed server starts again at once) and prints the bound
/// address as one JSON line on stdout.
pub async fn listen(role: &str, address: &str) -> Result<TcpListener, Error> {
    let failed = |source| Error::Listen {
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let listening = listener.local_addr().map_err(failed)?;
    let ready = serde_json::json!(Ready { role, listening });
    writeln!(std::io::stdout().lock(), "{ready}").map_err(Error::Report)?;
    tracing::info!(role, %listening, "listening");
    Ok(listener)
}

/// Takes connections until `stop`, at most `limit` at a time (the others wait in the kernel's queue), then waits up
/// to `drain` for the ones in flight.
pub async fn connections<H, F>(
    listener: TcpListener,
    limit: usize,
    drain: Duration,
    stop: CancellationToken,
    handle: H,
) where
    H: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limit));
    let tasks = TaskTracker::new();
    while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            break;
        };
        match accepted {
            Ok((stream, peer)) => {
                let work = handle(stream, peer);
                tasks.spawn(async move {
                    work.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "drain deadline passed");
    }
}
