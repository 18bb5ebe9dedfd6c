//! Every subject, stream, bucket and limit of the bus, in one place.

use std::time::Duration;

use crate::entity::Identity;
use crate::id::fnv64;
use crate::severity::Severity;

/// All subjects begin with it.
pub const PREFIX: &str = "tapio";
/// Raw batches of the observers: `tapio.events.<slot>.<node>.<family>`.
pub const EVENTS: &str = "tapio.events";
/// Enriched batches, keyed by workload: `tapio.enriched.<slot>.<family>`.
pub const ENRICHED: &str = "tapio.enriched";
/// Episodes, already joined per entity: `tapio.episodes.<cell>.<theme>`.
pub const EPISODES: &str = "tapio.episodes";
/// Relations between objects, the newest message of each kept: `tapio.topology.<relation>.<object>`.
pub const TOPOLOGY: &str = "tapio.topology";
/// How far time has come on the topology's stream, whose messages may be days apart.
pub const TOPOLOGY_TIME: &str = "tapio.topology.time";
/// Incidents as JSON, one message a revision: `tapio.incidents.<severity>.<namespace>.<workload>`.
pub const INCIDENTS: &str = "tapio.incidents";

/// Stream of raw partition `p` is `TAPIO_EVENTS_<p>`.
pub const EVENTS_STREAM: &str = "TAPIO_EVENTS";
/// Stream of enriched partition `p` is `TAPIO_ENRICHED_<p>`.
pub const ENRICHED_STREAM: &str = "TAPIO_ENRICHED";
/// Stream of episodes.
pub const EPISODES_STREAM: &str = "TAPIO_EPISODES";
/// Stream of relations, compacted: it holds the newest message of each subject.
pub const TOPOLOGY_STREAM: &str = "TAPIO_TOPOLOGY";
/// Stream of incidents.
pub const INCIDENTS_STREAM: &str = "TAPIO_INCIDENTS";

/// Bucket of the entity graph.
pub const TOPOLOGY_BUCKET: &str = "tapio_topology";
/// Bucket of the newest revision of each incident.
pub const INCIDENTS_BUCKET: &str = "tapio_incidents";
/// Bucket of partition leases.
pub const LEASES_BUCKET: &str = "tapio_leases";
/// Bucket of cursors and state snapshots.
pub const CHECKPOINTS_BUCKET: &str = "tapio_checkpoints";

/// Slots are fixed for ever; partitions own sets of slots, so that repartitioning changes streams and no client.
pub const SLOTS: u16 = 256;
/// Most partitions of a stage.
pub const MAX_PARTITIONS: u16 = 64;

/// Most events of one batch; beyond 256 the server gains nothing.
pub const BATCH_MAX_EVENTS: usize = 256;
/// Most bytes of one compressed batch: larger messages grow the server's read buffers and cost throughput.
pub const BATCH_MAX_BYTES: usize = 32 * 1024;
/// Default time an event waits for company. Urgent ones do not wait.
pub const BATCH_LINGER: Duration = Duration::from_millis(50);
/// Whoever has nothing else to say tells how far time has come when it has passed a multiple of this. Windows end with
/// seconds, so nothing that is judged by windows waits for it.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// An observer that sent nothing for this long no longer holds the watermark back.
pub const PRODUCER_SILENT_AFTER: Duration = Duration::from_secs(5);
/// A producer that sent nothing for this long, in time of the bus, is forgotten: no stream keeps raw or enriched batches for as
/// long, so nothing of it can be read again.
pub const PRODUCER_FORGOTTEN_AFTER: Duration = Duration::from_secs(35 * 60);
/// Longest wait for the server's acknowledgement of one publish.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Raw batches are kept this long: three correlation windows.
pub const EVENTS_MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// Bound of one raw or enriched stream.
pub const EVENTS_MAX_BYTES: i64 = 1024 * 1024 * 1024;
/// Enriched batches are kept this long.
pub const ENRICHED_MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// Episodes are kept this long.
pub const EPISODES_MAX_AGE: Duration = Duration::from_secs(6 * 60 * 60);
/// Bound of the episodes.
pub const EPISODES_MAX_BYTES: i64 = 512 * 1024 * 1024;
/// Bound of the relations, of which a message takes some hundred bytes: a million of them.
pub const TOPOLOGY_MAX_BYTES: i64 = 512 * 1024 * 1024;
/// Relations that have ended are told for this long.
pub const TOPOLOGY_REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// A message that tells only of relations that have ended is kept this long: who reads late still learns of them.
pub const TOPOLOGY_ENDED_MAX_AGE: Duration = Duration::from_secs(20 * 60);
/// Most targets that one message names.
pub const TOPOLOGY_MOST_TARGETS: usize = 1_000;
/// The time is told this often on the topology's stream.
pub const TOPOLOGY_TIME_INTERVAL: Duration = Duration::from_secs(30);
/// Within this time every relation that holds is told to the causal step again.
pub const TOPOLOGY_REPEATED: Duration = Duration::from_secs(10 * 60);
/// Incidents are kept this long.
pub const INCIDENTS_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bound of the incidents.
pub const INCIDENTS_MAX_BYTES: i64 = 1024 * 1024 * 1024;
/// Bound of the newest revisions, of which most take some ten kB: thousands of incidents. Beyond it the one that was revised
/// longest ago goes, which the stream of all revisions still holds.
pub const INCIDENTS_BUCKET_MAX_BYTES: i64 = 256 * 1024 * 1024;
/// Within this window the server drops a message id it has seen.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);
/// The same for incidents, which a recovering correlator may send again later.
pub const INCIDENTS_DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Bound of the leases, which are few and small. Of a bucket that may hold no more the server writes blocks of 32 kB, and it
/// is a whole block that it keeps in memory.
pub const LEASES_MAX_BYTES: i64 = 128_000;
/// A lease not renewed for this long is free.
pub const LEASE_TTL: Duration = Duration::from_secs(5);
/// A holder renews its lease this often.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(1);

/// Slot of a key by FNV-1a-32, the hash that the server's own `partition()` mapping uses.
pub fn slot(key: &str) -> u16 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    u16::try_from(hash % u32::from(SLOTS)).unwrap_or(0)
}

/// Partition that owns a slot when there are `partitions` of them.
pub fn partition_of_slot(slot: u16, partitions: u16) -> u16 {
    slot % partitions.max(1)
}

/// Subject of raw batches of `family` on `node`.
pub fn events_subject(node: &str, family: &str) -> String {
    format!("{EVENTS}.{}.{}.{}", slot(node), token(node), token(family))
}

/// Subject of enriched batches of `family` in `slot`.
pub fn enriched_subject(slot: u16, family: &str) -> String {
    format!("{ENRICHED}.{slot}.{}", token(family))
}

/// Subject of episodes of `theme` in `cell`.
pub fn episodes_subject(cell: u16, theme: &str) -> String {
    format!("{EPISODES}.{cell}.{}", token(theme))
}

/// Subject of what `from` has this relation to: a readable name, and a hash that makes it the only one of that name.
pub fn topology_subject(relation: &str, from: &Identity) -> String {
    const READABLE: usize = 40;
    let name = token(&[&from.kind, "_", &from.namespace, "_", &from.name].concat());
    let name = name.get(..READABLE).unwrap_or(&name);
    let hash = fnv64(&[&from.kind, &from.namespace, &from.name, &from.node]);
    format!("{TOPOLOGY}.{}.{name}-{hash:016x}", token(relation))
}

/// Subject of an incident.
pub fn incidents_subject(severity: Severity, namespace: &str, workload: &str) -> String {
    format!(
        "{INCIDENTS}.{}.{}.{}",
        severity.as_str(),
        token(namespace),
        token(workload)
    )
}

/// The slot and the family in an events or enriched subject.
pub fn parse_slot_and_family(subject: &str) -> Option<(u16, &str)> {
    let mut tokens = subject.split('.').skip(2);
    let slot = tokens.next()?.parse().ok()?;
    Some((slot, tokens.last()?))
}

/// Subjects that the stream of `partition` out of `partitions` binds under `prefix`.
pub fn partition_subjects(prefix: &str, partition: u16, partitions: u16) -> Vec<String> {
    if partitions <= 1 {
        return vec![format!("{prefix}.>")];
    }
    (0..SLOTS)
        .filter(|slot| partition_of_slot(*slot, partitions) == partition)
        .map(|slot| format!("{prefix}.{slot}.>"))
        .collect()
}

/// Name of the stream of `partition`.
pub fn partition_stream(stream: &str, partition: u16) -> String {
    format!("{stream}_{partition}")
}

/// Makes any text one subject token: lower case, `[a-z0-9_-]`, at most 63 bytes, never empty.
pub fn token(text: &str) -> String {
    const LONGEST: usize = 63;
    let clean = |symbol: char| match symbol.to_ascii_lowercase() {
        kept @ ('a'..='z' | '0'..='9' | '-') => kept,
        _ => '_',
    };
    match text.chars().map(clean).take(LONGEST).collect::<String>() {
        empty if empty.is_empty() => "_".to_owned(),
        token => token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_servers_own_hash() {
        // FNV-1a-32 test vectors: "" = 811c9dc5, "a" = e40c292c, "foobar" = bf9cf968.
        assert_eq!(slot(""), 0xc5);
        assert_eq!(slot("a"), 0x2c);
        assert_eq!(slot("foobar"), 0x68);
    }

    #[test]
    fn every_slot_belongs_to_exactly_one_partition() {
        for partitions in [1, 2, 3, 16] {
            let owned: usize = (0..partitions)
                .map(|p| partition_subjects(EVENTS, p, partitions).len())
                .sum();
            assert_eq!(owned, if partitions == 1 { 1 } else { usize::from(SLOTS) });
        }
    }

    #[test]
    fn producers_are_remembered_for_longer_than_their_batches() {
        assert!(PRODUCER_FORGOTTEN_AFTER > EVENTS_MAX_AGE && PRODUCER_FORGOTTEN_AFTER > ENRICHED_MAX_AGE);
    }

    #[test]
    fn objects_whose_names_look_alike_on_a_subject_have_subjects_of_their_own() {
        let subject = |name: &str| topology_subject("mounts", &Identity::new("Deployment", "shop", name));
        assert!(subject("redis").starts_with("tapio.topology.mounts.deployment_shop_redis-"));
        assert_eq!(subject("redis"), subject("redis"));
        let long = "x".repeat(200);
        for (one, other) in [("a.b", "a_b"), (&*long, &*format!("{long}y"))] {
            assert_ne!(subject(one), subject(other));
            assert_eq!(subject(one).split('.').count(), 4, "{}", subject(one));
        }
    }

    #[test]
    fn a_hostile_name_stays_one_token() {
        assert_eq!(token("Node.1 *>\n"), "node_1____");
        assert_eq!(token(""), "_");
        assert_eq!(token(&"x".repeat(300)).len(), 63);
        assert_eq!(
            parse_slot_and_family(&events_subject("Node.1", "memory")),
            Some((slot("Node.1"), "memory"))
        );
    }
}
