//! What the commands ask of the bus: to connect within seconds or say why not, and to read incidents.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use bus_schema::{Incident, names};
use futures_util::{StreamExt, TryStreamExt};

use crate::args::NatsArgs;
use crate::lock;

/// A person waits for the answer.
const DEADLINE: Duration = Duration::from_secs(3);
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Why the bus did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers there.
    #[error("no NATS at {url}; start one with `tapio up` or name it with --nats-url")]
    Unreachable {
        /// Where.
        url: String,
    },
    /// A server without its store.
    #[error("the NATS at {url} has no JetStream, or no bucket {bucket}: no correlator has run there yet")]
    NoJetStream {
        /// Where.
        url: String,
        /// What was looked for.
        bucket: &'static str,
    },
    /// It went away.
    #[error("the bus went away while reading {what}")]
    Lost {
        /// What was read.
        what: String,
    },
    /// A stored incident is damaged.
    #[error("incident {key} is not readable")]
    Unreadable {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A connection and where it leads.
pub(crate) struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) url: String,
}

/// Where the bus is: as told, or as the pipeline of this host says.
pub(crate) fn url(args: &NatsArgs) -> String {
    let running = || lock::holder(&lock::default_path())?.nats_url;
    args.nats_url
        .clone()
        .or_else(running)
        .unwrap_or_else(|| DEFAULT_URL.to_owned())
}

impl Bus {
    /// Connects, or says within seconds that nothing is there.
    pub(crate) async fn connect(url: String) -> Result<Self, Error> {
        let options = async_nats::ConnectOptions::new()
            .name("tapio")
            .connection_timeout(DEADLINE);
        let connected = tokio::time::timeout(DEADLINE, options.connect(&url)).await;
        match connected {
            Ok(Ok(client)) => Ok(Self { client, url }),
            Ok(Err(_)) | Err(_) => Err(Error::Unreachable { url }),
        }
    }

    /// Whether JetStream answers.
    pub(crate) async fn has_jetstream(&self) -> bool {
        let context = jetstream::new(self.client.clone());
        matches!(
            tokio::time::timeout(DEADLINE, context.query_account()).await,
            Ok(Ok(_))
        )
    }

    /// Newest revision of each incident, oldest incident first.
    pub(crate) async fn incidents(&self) -> Result<Vec<Incident>, Error> {
        let read = async {
            let bucket = self.bucket(names::INCIDENTS_BUCKET).await?;
            let keys = bucket.keys().await.map_err(|_| Self::lost())?;
            let keys: Vec<String> = keys.try_collect().await.map_err(|_| Self::lost())?;
            let values = futures_util::stream::iter(keys).map(|key| {
                let bucket = &bucket;
                async move { (bucket.get(key.clone()).await, key) }
            });
            let mut values = values.buffered(16);
            let mut incidents = Vec::new();
            while let Some((value, key)) = values.next().await {
                let Some(value) = value.map_err(|_| Self::lost())? else {
                    continue;
                };
                incidents.push(parse(&key, &value)?);
            }
            Ok(incidents)
        };
        let read = tokio::time::timeout(DEADLINE, read).await;
        let mut incidents: Vec<Incident> = read.unwrap_or_else(|_| Err(Self::lost()))?;
        incidents.sort_by_key(|incident| (incident.first_symptom_at, incident.id));
        Ok(incidents)
    }

    async fn bucket(&self, bucket: &'static str) -> Result<kv::Store, Error> {
        let context = jetstream::new(self.client.clone());
        context
            .get_key_value(bucket)
            .await
            .map_err(|_| Error::NoJetStream {
                url: self.url.clone(),
                bucket,
            })
    }

    fn lost() -> Error {
        Error::Lost {
            what: names::INCIDENTS_BUCKET.to_owned(),
        }
    }

    /// Messages of a subject from now on.
    pub(crate) async fn subscribe(&self, subject: &str) -> Result<async_nats::Subscriber, Error> {
        let lost = || Error::Lost {
            what: subject.to_owned(),
        };
        let messages = self.client.subscribe(subject.to_owned()).await;
        let messages = messages.map_err(|_| lost())?;
        // The server has the subscription before anything is caused that it should see.
        self.client.flush().await.map_err(|_| lost())?;
        Ok(messages)
    }
}

/// All incidents' subjects.
pub(crate) fn incidents_subject() -> String {
    format!("{}.>", names::INCIDENTS)
}

fn parse(key: &str, bytes: &[u8]) -> Result<Incident, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Unreadable {
        key: key.to_owned(),
        source,
    })
}
