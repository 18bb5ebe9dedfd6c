//! What is kept of Kubernetes' own Events: for each object, the newest of what its status does not tell.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::lifecycle::finding::shortened;

/// What an Event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::lifecycle) enum Topic {
    /// A volume of a pod cannot be mounted or attached.
    Mount,
    /// A pod's sandbox or network cannot be made.
    Sandbox,
    Readiness,
    Liveness,
    Startup,
    /// A container was ended for the sake of a liveness or startup probe.
    Killed,
    /// A controller cannot create a pod.
    NotCreated,
    /// A volume cannot be provided.
    NotProvisioned,
    /// No volume fits a claim.
    NotBound,
    /// A volume is provided as soon as a pod wants it.
    AwaitsPod,
}

/// One Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Hint {
    /// Uid of the object that it is about.
    pub(in crate::lifecycle) uid: String,
    pub(in crate::lifecycle) topic: Topic,
    /// The container that is meant; empty for the whole object.
    pub(in crate::lifecycle) container: String,
    pub(in crate::lifecycle) message: String,
    pub(in crate::lifecycle) count: i32,
    /// First and last time, UNIX ns.
    pub(in crate::lifecycle) first_ns: u64,
    pub(in crate::lifecycle) last_ns: u64,
}

impl Hint {
    /// None of what the status of the object tells, too.
    pub(in crate::lifecycle) fn of(event: &Event) -> Option<Self> {
        let message = event.message.as_deref().unwrap_or_default();
        let topic = match event.reason.as_deref()? {
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => Topic::Mount,
            "FailedCreatePodSandBox" | "NetworkNotReady" => Topic::Sandbox,
            "Unhealthy" if message.starts_with("Readiness") => Topic::Readiness,
            "Unhealthy" if message.starts_with("Liveness") => Topic::Liveness,
            "Unhealthy" if message.starts_with("Startup") => Topic::Startup,
            "Killing" if message.contains("failed liveness probe") => Topic::Killed,
            "Killing" if message.contains("failed startup probe") => Topic::Killed,
            "FailedCreate" => Topic::NotCreated,
            "ProvisioningFailed" => Topic::NotProvisioned,
            "FailedBinding" => Topic::NotBound,
            "WaitForFirstConsumer" => Topic::AwaitsPod,
            _ => return None,
        };
        let object = &event.involved_object;
        let series = event.series.as_ref();
        let last = series.and_then(|series| micro(series.last_observed_time.as_ref()));
        let moment = micro(event.event_time.as_ref()).or_else(|| seconds(event.first_timestamp.as_ref()));
        let first_ns = moment.or_else(|| seconds(event.metadata.creation_timestamp.as_ref()))?;
        let last = last.or_else(|| seconds(event.last_timestamp.as_ref()));
        Some(Self {
            uid: object.uid.clone()?,
            topic,
            container: object
                .field_path
                .as_deref()
                .and_then(container)
                .unwrap_or_default(),
            message: shortened(message),
            count: series
                .and_then(|series| series.count)
                .or(event.count)
                .unwrap_or(1),
            first_ns,
            last_ns: last.unwrap_or(first_ns),
        })
    }
}

fn micro(time: Option<&MicroTime>) -> Option<u64> {
    u64::try_from(time?.0.as_nanosecond()).ok()
}

fn seconds(time: Option<&Time>) -> Option<u64> {
    u64::try_from(time?.0.as_nanosecond()).ok()
}

/// From `spec.containers{web}`.
fn container(path: &str) -> Option<String> {
    let (_, rest) = path.split_once('{')?;
    Some(rest.strip_suffix('}')?.to_owned())
}

/// The newest of each topic and container, for one object.
#[derive(Debug, Default)]
pub(in crate::lifecycle) struct Hints(Vec<Hint>);

/// Most that are kept of one object.
const MOST: usize = 16;

impl Hints {
    pub(in crate::lifecycle) fn add(&mut self, hint: Hint) {
        let is_same = |known: &Hint| known.topic == hint.topic && known.container == hint.container;
        let Some(known) = self.0.iter_mut().find(|known| is_same(known)) else {
            if self.0.len() < MOST {
                self.0.push(hint);
            }
            return;
        };
        if known.last_ns > hint.last_ns {
            return;
        }
        // Each text has an Event of its own, and what repeats is counted in it.
        let (count, first_ns) = if known.message == hint.message {
            (hint.count, hint.first_ns)
        } else {
            (
                known.count.saturating_add(hint.count),
                known.first_ns.min(hint.first_ns),
            )
        };
        *known = Hint {
            count,
            first_ns,
            ..hint
        };
    }

    pub(in crate::lifecycle) fn of(&self, topic: Topic) -> Option<&Hint> {
        let mut all = self.0.iter();
        all.find(|hint| hint.topic == topic)
    }

    pub(in crate::lifecycle) fn about(&self, topic: Topic, container: &str) -> Option<&Hint> {
        let mut all = self.0.iter();
        all.find(|hint| hint.topic == topic && hint.container == container)
    }

    /// When the newest came, UNIX ns.
    pub(in crate::lifecycle) fn newest_ns(&self) -> u64 {
        self.0.iter().map(|hint| hint.last_ns).max().unwrap_or(0)
    }
}

/// The hints of all objects, by uid.
pub(in crate::lifecycle) type ByUid = HashMap<String, Hints>;

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(message: &str, at_ns: u64, count: i32) -> Hint {
        Hint {
            uid: "u".into(),
            topic: Topic::Readiness,
            container: "web".into(),
            message: message.into(),
            count,
            first_ns: 1,
            last_ns: at_ns,
        }
    }

    #[test]
    fn the_newest_of_a_topic_counts_whatever_is_listed_after_it() {
        let mut hints = Hints::default();
        hints.add(hint("a", 5, 2));
        hints.add(hint("a", 9, 3));
        hints.add(hint("old", 4, 1));
        let kept = hints.about(Topic::Readiness, "web").unwrap();
        assert_eq!((kept.message.as_str(), kept.count), ("a", 3));
        hints.add(hint("b", 10, 1));
        assert_eq!(hints.of(Topic::Readiness).unwrap().count, 4);
        assert_eq!(hints.about(Topic::Readiness, "db"), None);
        assert_eq!(container("spec.containers{web}"), Some("web".to_owned()));
    }
}
