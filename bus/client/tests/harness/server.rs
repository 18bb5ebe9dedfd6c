//! A real nats-server on a free port with a folder of its own; gone when dropped, killed and started again on demand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bus_client::{Bus, Config};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// A running server.
pub(crate) struct Server {
    folder: TempDir,
    /// Bound besides the server, so that the kernel gives its port to nobody else.
    port: TcpSocket,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let child = spawn(&folder, &port);
        Self { folder, port, child }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it neither run nor end, until `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let kill = kill.args(["-s", signal, &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.port);
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            urls: vec![format!("nats://{}", self.port.local_addr().unwrap())],
            name: "test".into(),
            ..Config::default()
        }
    }

    pub(crate) async fn connect(&self) -> Bus {
        Bus::connect_now(&self.config(), Duration::from_secs(20))
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(folder: &TempDir, port: &TcpSocket) -> Child {
    let port = port.local_addr().unwrap().port();
    let mut command = Command::new(binary());
    command
        .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(folder.path());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The server that `make setup` found or installed.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TAPIO_NATS_SERVER").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let installed = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/tools/nats-server"
    ));
    if installed.exists() {
        installed
    } else {
        "nats-server".into()
    }
}
