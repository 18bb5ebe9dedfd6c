//! What the commands ask of the bus: to connect within seconds or say why not, and to read incidents.

use std::time::Duration;

use bus_client::reader::{Item, Reader};
use bus_client::{Bus, Config, connection, streams};
use bus_schema::{Incident, names};
use futures_util::{StreamExt, TryStreamExt};

use crate::args::NatsArgs;
use crate::lock;

/// To connect, and again to read: a person waits, and has an answer within five seconds.
const DEADLINE: Duration = Duration::from_secs(2);
/// Incidents asked for before the first has come.
const READ_AT_A_TIME: usize = 16;
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Why the bus did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers there.
    #[error(
        "no NATS at {url} ({why}); start one with `tapio up`, or name it with --nats-url and its user with --nats-user or --nats-creds"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What went wrong last.
        why: String,
    },
    /// A server without incidents.
    #[error("this NATS has no JetStream, or no bucket of incidents: no correlator has run there yet")]
    NoIncidents,
    /// It went away.
    #[error("the bus went away while reading {what}")]
    Lost {
        /// What was read.
        what: String,
    },
    /// An event could not be published.
    #[error(
        "the bus did not take the event ({why}); may this user publish events, and do the streams exist?"
    )]
    NotTaken {
        /// What it said.
        why: String,
    },
    /// An event did not come out of the enricher.
    #[error(
        "the bus has taken the event, and no enricher has passed it on within {seconds} s; does one run?"
    )]
    NotEnriched {
        /// How long it was waited for.
        seconds: u64,
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

/// Where the bus is, as told, or as the pipeline of this host says, and who asks.
pub(crate) fn config(args: &NatsArgs) -> Config {
    let url = args
        .nats_url
        .clone()
        .or_else(|| lock::running()?.nats_url)
        .unwrap_or_else(|| DEFAULT_URL.to_owned());
    Config {
        credentials: args.nats_creds.clone(),
        user: args.nats_user.clone().zip(args.nats_password.clone()),
        tls_ca: args.nats_ca.clone(),
        inbox_prefix: args.nats_inbox_prefix.clone(),
        ..at(&url)
    }
}

/// The bus there (several servers with commas), as nobody in particular.
pub(crate) fn at(url: &str) -> Config {
    Config {
        urls: url.split(',').map(str::to_owned).collect(),
        name: "tapio".to_owned(),
        ..Config::default()
    }
}

/// Connects, or says within seconds that nothing is there.
pub(crate) async fn connect(config: &Config) -> Result<Bus, Error> {
    let connected = Bus::connect_now(config, DEADLINE).await;
    connected.map_err(|error| Error::Unreachable {
        url: connection::public(&config.urls),
        why: match error {
            connection::Error::Unreachable { why, .. } => why,
            connection::Error::Credentials { .. } | connection::Error::Connect { .. } => error.to_string(),
        },
    })
}

/// Newest revision of each incident, oldest incident first.
pub(crate) async fn incidents(bus: &Bus) -> Result<Vec<Incident>, Error> {
    let read = tokio::time::timeout(DEADLINE, read_incidents(bus)).await;
    let mut incidents = read.unwrap_or_else(|_| Err(lost(names::INCIDENTS_BUCKET)))?;
    incidents.sort_by_key(|incident| (incident.first_symptom_at, incident.id));
    Ok(incidents)
}

async fn read_incidents(bus: &Bus) -> Result<Vec<Incident>, Error> {
    let bucket = streams::bucket(bus, names::INCIDENTS_BUCKET).await;
    let bucket = bucket.map_err(|_| Error::NoIncidents)?;
    let gone = || lost(names::INCIDENTS_BUCKET);
    let keys = bucket.keys().await.map_err(|_| gone())?;
    let keys: Vec<String> = keys.try_collect().await.map_err(|_| gone())?;
    let values = futures_util::stream::iter(keys).map(|key| {
        let bucket = &bucket;
        async move { (bucket.get(key.clone()).await, key) }
    });
    let mut values = values.buffered(READ_AT_A_TIME);
    let mut incidents = Vec::new();
    while let Some((value, key)) = values.next().await {
        if let Some(value) = value.map_err(|_| gone())? {
            incidents.push(parse(&key, &value)?);
        }
    }
    Ok(incidents)
}

/// What is published on a subject from now on. The subscription is with the server when this returns.
pub(crate) async fn subscribe(
    bus: &Bus,
    subject: &str,
) -> Result<impl futures_util::Stream<Item = Message> + Unpin + use<>, Error> {
    let messages = bus.client().subscribe(subject.to_owned()).await;
    let messages = messages.map_err(|_| lost(subject))?;
    bus.client().flush().await.map_err(|_| lost(subject))?;
    Ok(messages.map(|message| Message {
        subject: message.subject.to_string(),
        payload: message.payload.to_vec(),
    }))
}

/// A message of a subject.
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

/// Revisions of incidents, each once and in order, through outages of the bus.
pub(crate) struct Revisions(Reader);

impl Revisions {
    /// Those that come from now on.
    pub(crate) async fn from_now(bus: &Bus) -> Result<Self, Error> {
        let reader = Reader::from_now(bus, names::INCIDENTS_STREAM).await;
        Ok(Self(reader.map_err(|_| lost("incidents"))?))
    }

    /// The next one, as it was published and as what it means.
    pub(crate) async fn next(&mut self) -> Result<Incident, Error> {
        loop {
            match self.0.next().await {
                Item::Message(message) => return parse(&message.subject, &message.payload),
                // Removed by age before it was read: the bucket has its newest revision.
                Item::Gap { .. } => {}
            }
        }
    }
}

/// All incidents' subjects.
pub(crate) fn incidents_subject() -> String {
    format!("{}.>", names::INCIDENTS)
}

fn lost(what: &str) -> Error {
    Error::Lost {
        what: what.to_owned(),
    }
}

fn parse(key: &str, bytes: &[u8]) -> Result<Incident, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Unreadable {
        key: key.to_owned(),
        source,
    })
}
