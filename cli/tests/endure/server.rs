//! A nats-server with a store that outlives it, and what the store holds.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bus_client::reader::{Incoming, Item, Reader};
use bus_client::{Bus, Config, streams};
use bus_schema::Incident;
use bus_schema::names::{INCIDENTS_BUCKET, INCIDENTS_STREAM};
use cli::port::Port;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use crate::PATIENCE;

/// A server; dropped, it and its store are gone.
pub(crate) struct Server {
    store: PathBuf,
    _folder: Option<TempDir>,
    port: Port,
    child: Option<Child>,
}

impl Server {
    /// A running server with an empty store.
    pub(crate) fn start() -> Self {
        let mut server = Self::absent();
        server.revive();
        server
    }

    /// A port where a server may be started later.
    pub(crate) fn absent() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: folder.path().to_owned(),
            _folder: Some(folder),
            port: Port::keep().unwrap(),
            child: None,
        }
    }

    /// A running server on the store that another one left.
    pub(crate) fn on(store: PathBuf) -> Self {
        let mut server = Self {
            store,
            _folder: None,
            port: Port::keep().unwrap(),
            child: None,
        };
        server.revive();
        server
    }

    /// Starts it on the same store and port.
    pub(crate) fn revive(&mut self) {
        let mut command = Command::new(binary());
        command.args([
            "-js",
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.number().to_string(),
            "-sd",
        ]);
        command
            .arg(&self.store)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Everything that it has stored is gone.
    pub(crate) fn lose_store(&self) {
        std::fs::remove_dir_all(self.store.join("jetstream")).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    /// Makes the streams and buckets, as the first enricher or correlator would.
    pub(crate) async fn provision(&self) {
        streams::provision(&self.connect().await, 1).await.unwrap();
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> Bus {
        let config = Config {
            urls: vec![self.url()],
            name: "test".to_owned(),
            ..Config::default()
        };
        Bus::connect_now(&config, PATIENCE).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server that `make setup` found or installed.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TAPIO_NATS_SERVER").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    if installed.exists() {
        installed
    } else {
        "nats-server".into()
    }
}

/// Last sequence of a stream; 0 where it is empty or absent.
pub(crate) async fn last_sequence(bus: &Bus, stream: &str) -> u64 {
    match bus.jetstream().get_stream(stream).await {
        Ok(stream) => stream.cached_info().state.last_sequence,
        Err(_) => 0,
    }
}

/// Every message of a stream.
pub(crate) async fn messages(bus: &Bus, stream: &str) -> Vec<Incoming> {
    let last = last_sequence(bus, stream).await;
    let mut reader = Reader::new(bus, stream, 0);
    let mut messages = Vec::new();
    while reader.cursor() < last {
        if let Item::Message(message) = reader.next().await {
            messages.push(message);
        }
    }
    messages
}

/// Every revision that was published, in order, as bytes.
pub(crate) async fn published(bus: &Bus) -> Vec<(String, Vec<u8>)> {
    let messages = messages(bus, INCIDENTS_STREAM).await;
    let both = messages
        .into_iter()
        .map(|message| (message.subject, message.payload.to_vec()));
    both.collect()
}

/// Every revision that was published, in order.
pub(crate) async fn revisions(bus: &Bus) -> Vec<Incident> {
    let published = published(bus).await;
    let parse = |(_, payload): &(String, Vec<u8>)| serde_json::from_slice(payload).unwrap();
    published.iter().map(parse).collect()
}

/// What the bucket holds: the newest revision of each incident.
pub(crate) async fn newest(bus: &Bus) -> Vec<Incident> {
    let bucket = streams::bucket(bus, INCIDENTS_BUCKET).await.unwrap();
    let keys: Vec<String> = bucket.keys().await.unwrap().try_collect().await.unwrap();
    let mut newest = Vec::new();
    for key in keys {
        let value = bucket.get(key).await.unwrap().unwrap();
        newest.push(serde_json::from_slice(&value).unwrap());
    }
    newest
}
