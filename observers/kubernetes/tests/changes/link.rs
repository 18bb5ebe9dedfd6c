//! The way from the observer to the API server, which can be cut.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// They are there, and nothing comes through.
    Frozen,
    Cut,
}

/// A relay of connections.
pub(crate) struct Link {
    /// Where it listens.
    pub(crate) port: u16,
    state: Arc<watch::Sender<State>>,
}

impl Link {
    /// To that port.
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (set, state) = watch::channel(State::Up);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let mut state = state.clone();
                if *state.borrow_and_update() != State::Cut {
                    tokio::spawn(async move {
                        tokio::select! {
                            () = relay(connection, target, state.clone()) => {}
                            _ = state.wait_for(|state| *state == State::Cut) => {}
                        }
                    });
                }
            }
        });
        Self {
            port,
            state: Arc::new(set),
        }
    }

    /// Ends all connections, and lets none in.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing through, and ends no connection.
    pub(crate) fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    /// Lets everything through, and new connections in.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Up);
    }
}

async fn relay(from: TcpStream, target: u16, state: watch::Receiver<State>) {
    let Ok(to) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let ((from_observer, to_observer), (from_server, to_server)) = (from.into_split(), to.into_split());
    // Either side may end it.
    tokio::select! {
        _ = copy(from_observer, to_server, state.clone()) => {}
        _ = copy(from_server, to_observer, state) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        // Only the end of the link ends the wait otherwise.
        let _ = state.wait_for(|state| *state != State::Frozen).await;
        to.write_all(read).await?;
    }
}
