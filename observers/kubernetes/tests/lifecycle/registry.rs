//! A registry that has nothing, and one that asks for a password.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The addresses of both.
pub(crate) struct Registry {
    pub(crate) empty: String,
    pub(crate) closed: String,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        Self {
            empty: serve(
                "404 Not Found",
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            )
            .await,
            closed: serve("401 Unauthorized", r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#).await,
        }
    }
}

/// Answers everything with this.
async fn serve(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // Whoever asks and does not read the answer has not asked.
                let _ = stream.read(&mut request).await;
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}
