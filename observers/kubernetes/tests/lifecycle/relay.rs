//! A way to the API server that can be cut.

use std::sync::Arc;

use kube::{Client, Config};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Hands connections on while it is open.
pub(crate) struct Relay {
    is_open: watch::Sender<bool>,
    address: String,
    server_name: String,
}

impl Relay {
    /// To the API server of `config`.
    pub(crate) async fn start(config: &Config) -> Self {
        let (is_open, open) = watch::channel(true);
        let host = config.cluster_url.host().unwrap().to_owned();
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let target: Arc<str> = format!("{host}:{port}").into();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (target, mut open) = (Arc::clone(&target), open.clone());
                tokio::spawn(async move {
                    if !*open.borrow() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(&*target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut server) => {}
                        _ = open.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self {
            is_open,
            address,
            server_name: host,
        }
    }

    /// A client that goes this way.
    pub(crate) fn client(&self, mut config: Config) -> Client {
        config.cluster_url = format!("https://{}", self.address).parse().unwrap();
        config.tls_server_name = Some(self.server_name.clone());
        Client::try_from(config).unwrap()
    }

    /// All connections end, and new ones do, too.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}
