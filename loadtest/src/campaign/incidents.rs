//! Every revision that is published while the campaign runs, with the time of its arrival, in memory and in a file.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bus_client::reader::{Item, Reader};
use bus_client::{Bus, Config};
use bus_schema::names;
use bus_stage::clock::now_ns;
use tokio::task::JoinHandle;
use tokio::time::Duration;

use super::score::Revision;

/// The server is up: the cluster has been rolled out.
const PATIENCE: Duration = Duration::from_secs(20);

/// What has come so far. Ends with its owner.
#[derive(Debug)]
pub struct Incidents {
    seen: Arc<Mutex<Vec<Revision>>>,
    task: JoinHandle<()>,
}

impl Incidents {
    /// Begins to listen as `user`; revisions go to `file` too.
    ///
    /// # Errors
    /// When the bus does not answer, or the file cannot be written.
    pub async fn follow(url: &str, user: (String, String), file: &Path) -> Result<Self> {
        let config = Config {
            urls: vec![url.to_owned()],
            name: "tapio-loadtest".into(),
            user: Some(user),
            ..Config::default()
        };
        let bus = Bus::connect_now(&config, PATIENCE).await?;
        let mut reader = Reader::from_now(&bus, names::INCIDENTS_STREAM)
            .await
            .context("the stream of incidents cannot be read")?;
        let mut file =
            std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let seen = Arc::<Mutex<Vec<Revision>>>::default();
        let known = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let Item::Message(message) = reader.next().await else {
                    continue;
                };
                let Ok(incident) = serde_json::from_slice(&message.payload) else {
                    continue;
                };
                let arrived_ns = now_ns();
                let revision = Revision { arrived_ns, incident };
                // The file is for people, afterwards; the scores do not hang on it.
                let _ = serde_json::to_string(&revision).map(|line| writeln!(file, "{line}"));
                known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(revision);
            }
        });
        Ok(Self { seen, task })
    }

    /// All revisions so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Revision> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Incidents {
    fn drop(&mut self) {
        self.task.abort();
    }
}
