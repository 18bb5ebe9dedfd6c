//! Whether a process of this host listens and says that it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Whether somebody listens on the port. The socket table is read instead of knocking: a refused connection of our own
/// would be a symptom to the observers.
pub(crate) fn listens(port: u16) -> bool {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    tables
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.state == procfs::net::TcpState::Listen && entry.local_address.port() == port)
}

/// Whether GET `path` answers 200.
pub(crate) async fn answers(address: SocketAddr, path: &str) -> bool {
    listens(address.port())
        && matches!(
            tokio::time::timeout(ANSWER_WITHIN, status(address, path)).await,
            Ok(Ok(200))
        )
}

async fn status(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let text = String::from_utf8_lossy(&head);
    Ok(text
        .rsplit(' ')
        .next()
        .and_then(|code| code.parse().ok())
        .unwrap_or(0))
}
