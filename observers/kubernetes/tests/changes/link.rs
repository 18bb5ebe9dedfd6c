//! The way from the observer to the API server, which can be cut.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay of connections.
pub(crate) struct Link {
    /// Where it listens.
    pub(crate) port: u16,
    is_up: Arc<watch::Sender<bool>>,
}

impl Link {
    /// To that port.
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_up, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let mut state = state.clone();
                if *state.borrow_and_update() {
                    tokio::spawn(async move {
                        tokio::select! {
                            () = relay(connection, target) => {}
                            _ = state.wait_for(|is_up| !is_up) => {}
                        }
                    });
                }
            }
        });
        Self {
            port,
            is_up: Arc::new(is_up),
        }
    }

    /// Ends all connections, and lets none in.
    pub(crate) fn cut(&self) {
        self.is_up.send_replace(false);
    }

    /// Lets new ones in.
    pub(crate) fn mend(&self) {
        self.is_up.send_replace(true);
    }
}

async fn relay(mut from: TcpStream, target: u16) {
    if let Ok(mut to) = TcpStream::connect(("127.0.0.1", target)).await {
        // Either side may end it.
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    }
}
