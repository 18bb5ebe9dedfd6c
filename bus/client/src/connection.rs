//! One connection to NATS, and what became of it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event};
use bus_schema::names::PUBLISH_TIMEOUT;
use tokio::sync::watch;

/// A dead server is noticed within two of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Commands that wait while there is no connection; beyond them a publish blocks, which its timeout ends.
const CLIENT_CAPACITY: usize = 256;
/// Messages that wait for a slow reader.
const SUBSCRIPTION_CAPACITY: usize = 65_536;
/// Publishes that wait for their acknowledgement.
const MAX_ACK_INFLIGHT: usize = 256;
/// First and longest delay between attempts to connect.
const RECONNECT_DELAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Where NATS is and who we are there.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Servers, `nats://host:port`.
    pub urls: Vec<String>,
    /// Name of the connection, for `nats server report connections`.
    pub name: String,
    /// File with user JWT and seed.
    pub credentials: Option<PathBuf>,
    /// User and password.
    pub user: Option<(String, String)>,
    /// Certificate authority for TLS.
    pub tls_ca: Option<PathBuf>,
    /// Prefix of reply subjects, where permissions name one.
    pub inbox_prefix: Option<String>,
    /// Copies of each stream that this process makes, 0 and 1 are one. What is there already keeps its own.
    pub stream_replicas: usize,
}

/// What the connection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Status {
    /// Not connected yet, or no more.
    #[default]
    Disconnected,
    /// Connected, or connected again.
    Connected,
    /// The server refuses what this process has to do. Trying again does not help.
    Denied(String),
}

/// A connection with its JetStream context. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    jetstream: jetstream::Context,
    status: watch::Receiver<Status>,
    trouble: watch::Receiver<String>,
    stream_replicas: usize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the configuration cannot be used.
    #[error("NATS credentials {path} cannot be read")]
    Credentials {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error("cannot connect to NATS at {urls}")]
    Connect {
        /// Where.
        urls: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No server answered in time, or none took the connection.
    #[error("no connection to NATS at {urls} within {seconds} s: {why}")]
    Unreachable {
        /// Where.
        urls: String,
        /// How long was waited.
        seconds: u64,
        /// What went wrong last.
        why: String,
    },
}

impl Bus {
    /// Starts connecting, and goes on in the background until a server answers.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let (status_sender, status) = watch::channel(Status::default());
        let (trouble_sender, trouble) = watch::channel("nobody answers".to_owned());
        let options = options(config)?.event_callback(move |event| {
            note(&status_sender, &event);
            if let Event::ServerError(_) | Event::ClientError(_) = event {
                trouble_sender.send_replace(event.to_string());
            }
            async {}
        });
        let urls = public(&config.urls);
        let connected = options.connect(config.urls.clone()).await;
        let client = connected.map_err(|source| Error::Connect { urls, source })?;
        let builder = ContextBuilder::new()
            .timeout(PUBLISH_TIMEOUT)
            .max_ack_inflight(MAX_ACK_INFLIGHT);
        let jetstream = builder.build(client.clone());
        Ok(Self {
            client,
            jetstream,
            status,
            trouble,
            stream_replicas: config.stream_replicas.max(1),
        })
    }

    /// Connects, or fails when no server answers in `patience`.
    pub async fn connect_now(config: &Config, patience: Duration) -> Result<Self, Error> {
        let bus = Self::connect(config).await?;
        let mut status = bus.status.clone();
        let connected = status.wait_for(|status| matches!(status, Status::Connected));
        if tokio::time::timeout(patience, connected).await.is_err() {
            return Err(Error::Unreachable {
                urls: public(&config.urls),
                seconds: patience.as_secs(),
                why: bus.trouble.borrow().clone(),
            });
        }
        Ok(bus)
    }

    /// The plain NATS client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The JetStream context; its requests time out after [`PUBLISH_TIMEOUT`].
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// What the connection is doing, and whatever it does next.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Copies of each stream that this process makes.
    pub fn stream_replicas(&self) -> usize {
        self.stream_replicas
    }

    /// Sends what is buffered and closes the connection.
    pub async fn drain(&self, patience: Duration) {
        let drained = tokio::time::timeout(patience, self.client.drain()).await;
        if !matches!(drained, Ok(Ok(()))) {
            tracing::warn!("NATS connection was not drained in time");
        }
    }
}

fn options(config: &Config) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new()
        .name(&config.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_delay);
    if let Some(path) = &config.credentials {
        let failed = |source| Error::Credentials {
            path: path.display().to_string(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        options = options.credentials(&text).map_err(failed)?;
    }
    if let Some((user, password)) = config.user.clone().or_else(|| user_in(&config.urls)) {
        options = options.user_and_password(user, password);
    }
    if let Some(path) = config.tls_ca.clone() {
        options = options.add_root_certificates(path).require_tls(true);
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    Ok(options)
}

/// User and password of the first URL that has them, `nats://user:password@host:port`; the library leaves them alone.
fn user_in(urls: &[String]) -> Option<(String, String)> {
    let mut servers = urls
        .iter()
        .filter_map(|url| url.parse::<async_nats::ServerAddr>().ok());
    servers.find_map(|server| Some((server.username()?.to_owned(), server.password()?.to_owned())))
}

/// URLs for people and logs: without passwords.
pub fn public(urls: &[String]) -> String {
    let without = |url: &String| match url
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)))
    {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => url.clone(),
    };
    urls.iter().map(without).collect::<Vec<_>>().join(",")
}

/// Doubles from the first delay to the longest; spread by the attempt's own address so that clients do not march in step.
fn reconnect_delay(attempts: usize) -> Duration {
    let (first, longest) = RECONNECT_DELAY;
    let doubled = first.saturating_mul(1 << attempts.min(6)).min(longest);
    let spread = u32::from(std::process::id().to_le_bytes()[0]) * 2;
    doubled.mul_f64(1.0 - f64::from(spread) / 1024.0)
}

fn note(status: &watch::Sender<Status>, event: &Event) {
    match event {
        Event::Connected => drop(status.send_replace(Status::Connected)),
        Event::Disconnected | Event::Closed | Event::Draining => {
            status.send_replace(Status::Disconnected);
        }
        Event::ServerError(error) => {
            let text = error.to_string();
            if text.to_lowercase().contains("permissions violation") {
                tracing::error!(
                    error = text,
                    "NATS denies what this process has to do; check its user's permissions"
                );
                status.send_replace(Status::Denied(text));
            } else {
                tracing::warn!(error = text, "NATS server error");
            }
        }
        Event::LameDuckMode | Event::SlowConsumer(_) | Event::ClientError(_) => {
            tracing::debug!(%event, "NATS");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_used_and_never_shown() {
        let urls = [
            "nats://a:4222".to_owned(),
            "nats://reader:secret@b:4222".to_owned(),
        ];
        assert_eq!(user_in(&urls), Some(("reader".to_owned(), "secret".to_owned())));
        assert_eq!(public(&urls), "nats://a:4222,nats://b:4222");
        assert_eq!(user_in(&urls[..1]), None);
    }
}
