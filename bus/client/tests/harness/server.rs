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
    /// Besides what is said on its command line.
    config: Option<PathBuf>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None)
    }

    /// One with a configuration file of this text.
    pub(crate) fn with_config(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.conf");
        std::fs::write(&path, text).unwrap();
        Self::start_in(folder, Some(path))
    }

    fn start_in(folder: TempDir, config: Option<PathBuf>) -> Self {
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let child = spawn(&folder, &port, config.as_ref());
        Self {
            folder,
            port,
            child,
            config,
        }
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
        self.child = spawn(&self.folder, &self.port, self.config.as_ref());
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

fn spawn(folder: &TempDir, port: &TcpSocket, config: Option<&PathBuf>) -> Child {
    let port = port.local_addr().unwrap().port();
    let mut command = Command::new(binary());
    command
        .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(folder.path());
    if let Some(config) = config {
        command.arg("-c").arg(config);
    }
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
