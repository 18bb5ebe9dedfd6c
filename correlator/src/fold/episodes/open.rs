//! One open episode: what a sighting adds to it, when it is an error, and what a pause in it may turn out to have been.

use std::collections::BTreeSet;

use bus_schema::episode::Episode;
use bus_schema::{Entity, EventId, Severity, TraceContext};
use serde::{Deserialize, Serialize};

use super::super::evidence::SURPRISING_BITS;
use super::super::sighting::Sighting;
use super::Key;
use crate::condition::Traits;
use crate::condition::row::WINDOW_NS;

/// What must last is an error after this long.
const SUSTAINED_NS: u64 = 1_000_000_000;
/// What has never worked may have started before what it needs: it is an error after this long. Kubernetes' probes come
/// every ten seconds, and what one waits for may be there and not known to be.
const STARTED_NS: u64 = 10_000_000_000;
/// Fewer failures than this are no error, however long they last.
const SUSTAINED_COUNT: u64 = 3;
/// Proof is the first few events; more of the same proves no more.
const MOST_EVIDENCE: usize = 8;
/// Traces that an episode names.
const MOST_EXEMPLARS: usize = 5;
/// Pods and nodes that an episode names.
const MOST_NAMED: usize = 32;
/// Most places of one state: more than pods of one workload in any cluster.
const MOST_PLACES: usize = 10_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) episode: Episode,
    pub(super) published_ns: u64,
    /// Until when it has lasted for certain, UNIX ns.
    #[serde(default)]
    certain_until_ns: u64,
    /// Nothing of its kind has worked here yet.
    #[serde(default)]
    is_starting: bool,
    /// Of a state: where it holds.
    #[serde(default)]
    pub(super) seen_on: BTreeSet<String>,
    pub(super) urgent: bool,
    pub(super) dirty: bool,
    /// The last pause in it that was long enough to hold a healthy window.
    pause: Option<Box<Pause>>,
}

/// An episode as it was before a pause, and as it would have begun after it. Failures are told at once and windows when
/// they are complete: only then is it known whether the pause was health or silence.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pause {
    before: Open,
    after: Open,
}

impl Open {
    pub(super) fn begin(sighting: &Sighting) -> Self {
        let Key(condition, subject, object, number) = Key::of(sighting);
        let (subject, object) = (String::from(subject), String::from(object));
        let id = EventId::of_parts(
            sighting.time_ns,
            &[condition.token(), &subject, &object, &number.to_string()],
        );
        let episode = Episode {
            id,
            condition: sighting.condition.token().to_owned(),
            severity: sighting.severity,
            subject: sighting.subject.clone(),
            object: sighting.object.clone(),
            start_ns: sighting.time_ns,
            last_ns: sighting.time_ns,
            baseline: sighting.baseline,
            ..Episode::default()
        };
        Self {
            episode,
            published_ns: 0,
            certain_until_ns: 0,
            is_starting: false,
            seen_on: BTreeSet::new(),
            urgent: true,
            dirty: true,
            pause: None,
        }
    }

    pub(super) fn merge(&mut self, sighting: Sighting) {
        self.notice_pause(&sighting);
        self.add(sighting);
    }

    /// Begins to keep what came before and what comes after apart, when a whole window lies between.
    fn notice_pause(&mut self, sighting: &Sighting) {
        if !sighting.traits.must_last {
            return;
        }
        if sighting.time_ns / WINDOW_NS > self.episode.last_ns / WINDOW_NS + 1 {
            let after = Self::begin(sighting);
            let before = Self {
                pause: None,
                ..self.clone()
            };
            self.pause = Some(Box::new(Pause { before, after }));
        }
        if let Some(pause) = &mut self.pause {
            pause.after.add(sighting.clone());
        }
    }

    /// Becomes what came after a pause in which the window up to `until_ns` lies, and gives what came before.
    pub(super) fn split(&mut self, until_ns: u64) -> Option<Self> {
        let Pause { mut before, after } = *self.pause.take_if(|pause| {
            let Pause { before, after } = pause.as_ref();
            before.episode.last_ns < until_ns && until_ns <= after.episode.start_ns
        })?;
        before.episode.revision = self.episode.revision;
        *self = after;
        Some(before)
    }

    pub(super) fn end(&mut self, at_ns: u64) {
        self.episode.closed = true;
        self.episode.over_ns = Some(at_ns);
        self.dirty = true;
    }

    fn add(&mut self, sighting: Sighting) {
        let episode = &mut self.episode;
        if sighting.traits.is_state {
            episode.object.clone_from(&sighting.object);
            if self.seen_on.len() < MOST_PLACES {
                self.seen_on.insert(place(&sighting.subject));
            }
        }
        episode.start_ns = episode.start_ns.min(sighting.time_ns);
        episode.last_ns = episode.last_ns.max(sighting.time_ns);
        episode.over_ns = episode.over_ns.filter(|over_ns| *over_ns > sighting.time_ns);
        self.certain_until_ns = self.certain_until_ns.max(sighting.certain_until_ns);
        episode.count += sighting.count;
        episode.peak = episode.peak.max(sighting.intensity);
        episode.surprise = episode.surprise.max(sighting.surprise);
        if !sighting.traits.keeps_first_facts || episode.facts.is_empty() {
            episode.facts.extend(sighting.facts);
        }
        note(&mut episode.pods, sighting.subject.pod.map(|pod| pod.name));
        note(&mut episode.nodes, sighting.subject.node);
        if episode.evidence.len() < MOST_EVIDENCE {
            episode.evidence.extend(sighting.evidence);
        }
        if episode.exemplars.len() < MOST_EXEMPLARS {
            let exemplar = sighting.exemplar;
            let is_new = |trace: &TraceContext| !episode.exemplars.contains(trace);
            let exemplar = exemplar.filter(is_new);
            episode.exemplars.extend(exemplar);
        }
        self.dirty = true;
        self.is_starting = sighting.is_starting.unwrap_or(self.is_starting);
        self.escalate(sighting.traits, sighting.severity);
    }

    /// A state that goes on for longer than one waits for is an error, whether or not anybody suffers.
    pub(super) fn lose_patience(&mut self, patience_ns: u64, now_ns: u64) {
        let is_over = self.episode.closed || now_ns < self.episode.start_ns + patience_ns;
        if !is_over && self.episode.severity < Severity::Error {
            self.episode.severity = Severity::Error;
            (self.urgent, self.dirty) = (true, true);
        }
    }

    /// What must last becomes an error once it has lasted, often enough, beyond what its baseline explains; unless it is seen as no
    /// harm by itself.
    fn escalate(&mut self, traits: Traits, seen: Severity) {
        let episode = &mut self.episode;
        let lasted_ns = self.certain_until_ns.saturating_sub(episode.start_ns);
        let patience_ns = if self.is_starting {
            STARTED_NS
        } else {
            SUSTAINED_NS
        };
        let sustained = lasted_ns >= patience_ns
            && episode.count >= SUSTAINED_COUNT
            && episode.surprise >= SURPRISING_BITS;
        let severity = match (traits.must_last, sustained) {
            (true, true) if seen >= Severity::Warning => seen.max(Severity::Error),
            (true, false) => seen.min(Severity::Warning),
            (true, true) | (false, _) => seen,
        };
        if severity > episode.severity {
            episode.severity = severity;
            self.urgent = true;
        }
    }

    pub(super) fn publish(&mut self) -> Episode {
        self.urgent = false;
        self.dirty = false;
        self.episode.revision += 1;
        self.episode.clone()
    }
}

/// Where a state holds: a container, a pod; nowhere in particular for what is one thing.
pub(super) fn place(subject: &Entity) -> String {
    let pod = subject.pod.as_ref().map_or("", |pod| pod.uid.as_str());
    let container = subject
        .container
        .as_ref()
        .map_or("", |container| container.name.as_str());
    [pod, "/", container].concat()
}

/// Remembers a name once, and only so many.
fn note(names: &mut Vec<String>, name: Option<String>) {
    if let Some(name) = name.filter(|name| !name.is_empty() && !names.contains(name))
        && names.len() < MOST_NAMED
    {
        names.push(name);
    }
}
