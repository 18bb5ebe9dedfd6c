//! Creates the streams and buckets, once; what is there already is left as it is.

use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, KeyValueErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, kv};
use bus_schema::names::{
    CHECKPOINTS_BUCKET, DUPLICATE_WINDOW, ENRICHED, ENRICHED_MAX_AGE, ENRICHED_STREAM, EPISODES,
    EPISODES_MAX_AGE, EPISODES_MAX_BYTES, EPISODES_STREAM, EVENTS, EVENTS_MAX_AGE, EVENTS_MAX_BYTES,
    EVENTS_STREAM, INCIDENTS, INCIDENTS_BUCKET, INCIDENTS_BUCKET_MAX_BYTES, INCIDENTS_DUPLICATE_WINDOW,
    INCIDENTS_MAX_AGE, INCIDENTS_MAX_BYTES, INCIDENTS_STREAM, LEASE_TTL, LEASES_BUCKET, LEASES_MAX_BYTES,
    MAX_PARTITIONS, TOPOLOGY, TOPOLOGY_BUCKET, TOPOLOGY_MAX_BYTES, TOPOLOGY_STREAM, partition_stream,
    partition_subjects,
};

use crate::connection::Bus;

/// Why the streams are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stream could not be created.
    #[error("stream {name} could not be created; is JetStream enabled, and may this user create streams?")]
    Stream {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::context::CreateStreamError,
    },
    /// A stream of that name divides the nodes in another way.
    #[error(
        "stream {name} binds {found} subjects instead of {expected}: it was made for another number of partitions; start \
         all processes with the same --partitions, or delete the streams to divide anew"
    )]
    OtherSubjects {
        /// Which.
        name: String,
        /// How many it binds.
        found: usize,
        /// How many it should.
        expected: usize,
    },
    /// A stream that should be there could not be looked at.
    #[error("stream {name} cannot be looked at")]
    Look {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: GetStreamError,
    },
    /// A bucket could not be created.
    #[error("bucket {name} could not be created")]
    Bucket {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: async_nats::jetstream::context::CreateKeyValueError,
    },
    /// A bucket that should be there is not.
    #[error("bucket {name} cannot be opened")]
    Open {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: async_nats::jetstream::context::KeyValueError,
    },
}

/// Number of enriched partitions of this bus; 0 where nobody made them.
///
/// # Errors
/// When the bus does not say whether a stream is there.
pub async fn enriched_partitions(bus: &Bus) -> Result<u16, GetStreamError> {
    for partition in 0..MAX_PARTITIONS {
        let stream = bus
            .jetstream()
            .get_stream(partition_stream(ENRICHED_STREAM, partition));
        match stream.await {
            Ok(_) => {}
            Err(error) if is_not_there(&error) => return Ok(partition),
            Err(error) => return Err(error),
        }
    }
    Ok(MAX_PARTITIONS)
}

/// Whether there is no such stream, rather than no answer.
pub(crate) fn is_not_there(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Creates every stream for `partitions` partitions, and every bucket. Safe to call from everybody at once.
pub async fn provision(bus: &Bus, partitions: u16) -> Result<(), Error> {
    for config in configs(partitions) {
        let config = Config {
            num_replicas: bus.stream_replicas(),
            ..config
        };
        let (name, subjects) = (config.name.clone(), config.subjects.clone());
        match bus.jetstream().create_stream(config).await {
            Ok(_) => {}
            Err(error) if is_other_settings(error.kind()) => binds(bus, name, subjects).await?,
            Err(source) => return Err(Error::Stream { name, source }),
        }
    }
    for name in [
        TOPOLOGY_BUCKET,
        INCIDENTS_BUCKET,
        LEASES_BUCKET,
        CHECKPOINTS_BUCKET,
    ] {
        create_bucket(bus, name).await?;
    }
    Ok(())
}

/// An existing stream may have limits of its own, they are its owner's business, but it must bind the same subjects: else
/// some would never be read.
async fn binds(bus: &Bus, name: String, mut expected: Vec<String>) -> Result<(), Error> {
    let mut found = match bus.jetstream().get_stream(&name).await {
        Ok(stream) => stream.cached_info().config.subjects.clone(),
        Err(source) => return Err(Error::Look { name, source }),
    };
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        let (found, expected) = (found.len(), expected.len());
        return Err(Error::OtherSubjects {
            name,
            found,
            expected,
        });
    }
    tracing::info!(stream = name, "stream exists with other settings");
    Ok(())
}

/// Opens a bucket.
pub async fn bucket(bus: &Bus, name: &'static str) -> Result<kv::Store, Error> {
    bus.jetstream()
        .get_key_value(name)
        .await
        .map_err(|source| Error::Open { name, source })
}

async fn create_bucket(bus: &Bus, name: &'static str) -> Result<(), Error> {
    match bus.jetstream().get_key_value(name).await {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {}
        Err(source) => return Err(Error::Open { name, source }),
    }
    if name == INCIDENTS_BUCKET {
        return create_incidents_bucket(bus).await;
    }
    let mut config = kv::Config {
        bucket: name.to_owned(),
        history: 1,
        num_replicas: bus.stream_replicas(),
        ..kv::Config::default()
    };
    if name == LEASES_BUCKET {
        // A lease is free when its holder has not renewed it: the server's clock alone decides.
        config.max_age = LEASE_TTL;
        config.max_bytes = LEASES_MAX_BYTES;
    }
    bus.jetstream()
        .create_key_value(config)
        .await
        .map_err(|source| Error::Bucket { name, source })?;
    Ok(())
}

/// The newest revisions, as long as their stream keeps them all, in bounded space. A bucket that the library makes refuses what
/// is new when it is full; this one forgets what is old, for what happens now matters more.
async fn create_incidents_bucket(bus: &Bus) -> Result<(), Error> {
    let config = Config {
        name: format!("KV_{INCIDENTS_BUCKET}"),
        subjects: vec![format!("$KV.{INCIDENTS_BUCKET}.>")],
        max_messages_per_subject: 1,
        max_age: INCIDENTS_MAX_AGE,
        max_bytes: INCIDENTS_BUCKET_MAX_BYTES,
        discard: DiscardPolicy::Old,
        num_replicas: bus.stream_replicas(),
        allow_rollup: true,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    };
    let name = config.name.clone();
    match bus.jetstream().create_stream(config).await {
        Ok(_) => Ok(()),
        Err(error) if is_other_settings(error.kind()) => Ok(()),
        Err(source) => Err(Error::Stream { name, source }),
    }
}

fn is_other_settings(kind: CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

fn configs(partitions: u16) -> Vec<Config> {
    let mut configs = Vec::new();
    for partition in 0..partitions.max(1) {
        let raw = partition_subjects(EVENTS, partition, partitions);
        configs.push(config(
            partition_stream(EVENTS_STREAM, partition),
            raw,
            EVENTS_MAX_AGE,
            EVENTS_MAX_BYTES,
        ));
        let enriched = partition_subjects(ENRICHED, partition, partitions);
        configs.push(config(
            partition_stream(ENRICHED_STREAM, partition),
            enriched,
            ENRICHED_MAX_AGE,
            EVENTS_MAX_BYTES,
        ));
    }
    configs.push(config(
        EPISODES_STREAM.to_owned(),
        vec![format!("{EPISODES}.>")],
        EPISODES_MAX_AGE,
        EPISODES_MAX_BYTES,
    ));
    let incidents = config(
        INCIDENTS_STREAM.to_owned(),
        vec![format!("{INCIDENTS}.>")],
        INCIDENTS_MAX_AGE,
        INCIDENTS_MAX_BYTES,
    );
    configs.push(Config {
        duplicate_window: INCIDENTS_DUPLICATE_WINDOW,
        ..incidents
    });
    configs.push(topology());
    configs
}

/// Of each subject the newest message, for as long as that says.
fn topology() -> Config {
    let subjects = vec![format!("{TOPOLOGY}.>")];
    Config {
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..config(
            TOPOLOGY_STREAM.to_owned(),
            subjects,
            Duration::ZERO,
            TOPOLOGY_MAX_BYTES,
        )
    }
}

fn config(name: String, subjects: Vec<String>, max_age: Duration, max_bytes: i64) -> Config {
    Config {
        name,
        subjects,
        max_age,
        max_bytes,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    }
}
