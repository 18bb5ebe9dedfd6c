//! Relations between objects of the cluster, each with a time from and until, as the API server tells them.
//!
//! A message says everything that one object has one relation to, what has ended of late included. So the newest message of a
//! subject is the present truth, and reading it twice does no harm.

use serde::{Deserialize, Serialize};

use crate::SCHEMA_VERSION;
use crate::entity::Identity;

/// One sort of relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// Its name on the wire, in subjects and in rules.
    pub token: &'static str,
    /// What it says of the two ends.
    pub reads: &'static str,
}

/// From a controller to what it controls.
pub const OWNS: &str = "owns";
/// From a part to the whole.
pub const PART_OF: &str = "part_of";
/// From a workload to a node on which a pod of it runs.
pub const RUNS_ON: &str = "runs_on";
/// From a Service or a network policy to a workload of which it selects pods.
pub const SELECTS: &str = "selects";
/// From an Ingress to a Service.
pub const ROUTES_TO: &str = "routes_to";
/// From a workload to what its pods have as a volume.
pub const MOUNTS: &str = "mounts";
/// From a workload to what its pods name elsewhere: in their environment, or to pull their images.
pub const REFERS_TO: &str = "refers_to";
/// From a workload to a quota or limit range of its namespace.
pub const LIMITED_BY: &str = "limited_by";
/// From an autoscaler to a workload.
pub const SCALES: &str = "scales";

/// Every sort that the topology tells of.
pub const RELATIONS: [Relation; 9] = [
    relation(OWNS, "a controller owns what it controls"),
    relation(PART_OF, "a part belongs to the whole"),
    relation(RUNS_ON, "pods of a workload run on a node"),
    relation(SELECTS, "a Service or network policy selects pods of a workload"),
    relation(ROUTES_TO, "an Ingress routes to a Service"),
    relation(
        MOUNTS,
        "pods of a workload have a ConfigMap, Secret or claim as a volume",
    ),
    relation(REFERS_TO, "pods of a workload name a ConfigMap or Secret"),
    relation(LIMITED_BY, "a quota or limit range bounds a workload"),
    relation(SCALES, "an autoscaler scales a workload"),
];

const fn relation(token: &'static str, reads: &'static str) -> Relation {
    Relation { token, reads }
}

/// The far end of a relation, and since when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Related {
    /// To whom.
    pub to: Identity,
    /// Since when, UNIX ns.
    pub since_ns: u64,
    /// From then on it held no more, UNIX ns; `None` while it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
}

/// One message on `tapio.topology.<relation>.<object>`: everything that `from` has this relation to. One without a relation
/// says how far time has come, for a reader that hears nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Relations {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u16,
    /// Cluster.
    pub cluster: String,
    /// Token of [`RELATIONS`].
    pub relation: String,
    /// From whom.
    pub from: Identity,
    /// When it was told, UNIX ns.
    pub told_ns: u64,
    /// To whom, in order. A target is there more than once when the relation ended and began again.
    pub targets: Vec<Related>,
    /// Targets beyond [`crate::names::TOPOLOGY_MOST_TARGETS`].
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// Why a message is none of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Its schema is newer than this reader.
    #[error("relations have schema {found}, this version reads up to {SCHEMA_VERSION}")]
    NewerSchema {
        /// The writer's schema.
        found: u16,
    },
    /// It is damaged or something else.
    #[error("relations are not readable")]
    Malformed(#[source] rmp_serde::decode::Error),
}

impl Relations {
    /// Whether it tells the time and nothing else.
    pub fn is_heartbeat(&self) -> bool {
        self.relation.is_empty()
    }

    /// Whether one of the relations still holds.
    pub fn holds(&self) -> bool {
        self.targets.iter().any(|target| target.until_ns.is_none())
    }

    /// As named MessagePack.
    pub fn encode(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec_named(self)
    }

    /// Reads a message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let relations: Self = rmp_serde::from_slice(bytes).map_err(DecodeError::Malformed)?;
        if relations.schema > SCHEMA_VERSION {
            return Err(DecodeError::NewerSchema {
                found: relations.schema,
            });
        }
        Ok(relations)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references to skip_serializing_if"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::token;

    #[test]
    fn a_relation_has_a_name_of_its_own_that_is_a_subject_token() {
        let mut tokens = RELATIONS.map(|relation| relation.token);
        for name in tokens {
            assert_eq!(token(name), name);
        }
        tokens.sort_unstable();
        assert!(tokens.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn damaged_bytes_are_an_error_and_a_newer_schema_is_named() {
        let newer = Relations {
            schema: SCHEMA_VERSION + 1,
            ..Relations::default()
        };
        let bytes = newer.encode().unwrap();
        assert!(matches!(
            Relations::decode(&bytes),
            Err(DecodeError::NewerSchema { found }) if found == newer.schema
        ));
        assert!(matches!(
            Relations::decode(&bytes[..bytes.len() - 1]),
            Err(DecodeError::Malformed(_))
        ));
    }
}
