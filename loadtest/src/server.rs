//! A real server for the measurement, gone when dropped.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use bus_client::{Bus, Config, streams};
use tempfile::TempDir;

use crate::process::{Process, free_address};

/// A server that does not answer by then does not work.
const PATIENCE: Duration = Duration::from_secs(20);

/// A NATS server with file storage in a folder of its own.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// Itself.
    pub process: Process,
    _folder: TempDir,
}

impl Server {
    /// Starts a server on a free port and creates the streams.
    ///
    /// # Errors
    /// When there is no nats-server, or it does not answer.
    pub async fn start() -> Result<(Self, Bus)> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let (_, port) = address.rsplit_once(':').unwrap_or_default();
        let store = folder.path().to_string_lossy().into_owned();
        let process = Process::start(
            &nats_server()?,
            &["-js", "-a", "127.0.0.1", "-p", port, "-sd", &store],
            &[],
        )?;
        let url = format!("nats://{address}");
        let config = Config {
            urls: vec![url.clone()],
            name: "tapio-loadtest".into(),
            ..Config::default()
        };
        let bus = Bus::connect_now(&config, PATIENCE).await?;
        streams::provision(&bus, 1).await?;
        Ok((
            Self {
                url,
                process,
                _folder: folder,
            },
            bus,
        ))
    }
}

/// The server named by `TAPIO_NATS_SERVER`, else the first one in `PATH`.
pub(crate) fn nats_server() -> Result<PathBuf> {
    if let Some(told) = std::env::var_os("TAPIO_NATS_SERVER").filter(|path| !path.is_empty()) {
        return Ok(told.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|path| path.exists());
    match found {
        Some(path) => Ok(path),
        None => bail!("nats-server is not in PATH; make setup installs it into target/tools"),
    }
}
