//! One row of `conditions.yaml`: how events become an episode, how bad it is, how it is called and worded.

use std::collections::BTreeMap;

use bus_schema::Severity;
use bus_schema::event::Kind;
use bus_schema::event::counters::{self, Counter, counter};
use bus_schema::event::network::Role;
use serde::{Deserialize, Deserializer};

/// Over which time statistics are summed up.
pub(crate) const WINDOW_NS: u64 = 1_000_000_000;

/// Of all changes, the share that harms somebody: among teams that deliver well one in twenty fails (DORA, *Accelerate State of
/// DevOps*, change failure rate).
pub(crate) const AT_FAULT: f64 = 0.05;

fn at_fault() -> f64 {
    AT_FAULT
}

/// Everything that is known of a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Template of the low-cardinality name in traces.
    pub name: String,
    /// Template of the timeline's line.
    pub text: String,
    /// Template of the effect in a sentence.
    pub phrase: String,
    /// Template of the beginning in a sentence; [`Self::phrase`] where there is none.
    #[serde(default)]
    pub root_phrase: Option<String>,
    /// Template of its name as a hypothesis.
    pub hypothesis: String,
    /// Weight of "needs no observed cause".
    pub spontaneous: f64,
    /// An expression over the facts that is true where something always brings it about: without a cause that was seen there was
    /// one that nobody saw. Never where there is none.
    #[serde(default)]
    pub symptom: Option<String>,
    /// Of what is done: how often it harms somebody; one in twenty where nothing is said.
    #[serde(default = "at_fault")]
    pub at_fault: f64,
    /// The observer that would have seen it.
    pub observer: String,
    /// Measurement that speaks against it.
    #[serde(default)]
    pub gauge: Option<String>,
    /// Below this the measurement excludes it.
    #[serde(default)]
    pub gauge_low: f64,
    /// Template of the measurement as evidence.
    #[serde(default)]
    pub gauge_text: String,
    /// Where it can occur.
    pub applies: Applies,
    /// In a sentence it stands behind what else has the same depth: the way by which it spreads is named before it.
    #[serde(default)]
    pub told_last: bool,
    /// How bad it is on its own.
    pub severity: Severity,
    /// How sightings become an episode.
    pub fold: Fold,
    /// The single events that tell of it.
    #[serde(default)]
    pub from: Vec<Source>,
}

/// Where a condition can occur at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applies {
    /// Only outside Kubernetes.
    Host,
    /// Only in Kubernetes.
    Kubernetes,
    /// Everywhere.
    Both,
}

/// The shape of a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// Something that is done once.
    Point,
    /// The same again and again until it is quiet.
    Occurrences(Occurrences),
    /// It holds until its end is told.
    State(State),
    /// A share of failures beyond what is normal there.
    Ratio(Ratio),
    /// A share of high values beyond what is normal there.
    Distribution(Distribution),
    /// A measurement above a bound.
    Level(Level),
    /// More attempts for each request than is normal there.
    Amplification(Amplification),
}

/// Settings of [`Fold::Occurrences`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occurrences {
    /// After this long without another it has ended.
    pub quiet_seconds: f64,
    /// A process is gone by it, one episode each; it is over when its service listens again.
    #[serde(default)]
    pub ends_process: bool,
    /// The facts of the first stay: a forecast is worth the more the earlier it was made.
    #[serde(default)]
    pub keeps_first_facts: bool,
}

/// Settings of [`Fold::State`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// After this long it is an error by itself, whether or not anybody suffers; never where it is not given.
    #[serde(default)]
    pub patience_seconds: Option<f64>,
}

/// Settings of [`Fold::Ratio`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The statistics.
    pub kind: KindName,
    /// Of the subject as which end.
    pub role: Role,
    /// Name of the number of all …
    pub total: String,
    /// … and of those that failed.
    pub failed: String,
    /// All peers are judged together.
    #[serde(default)]
    pub alone: bool,
    /// How bad it is when most fail.
    #[serde(default)]
    pub severity_of_most: Option<Severity>,
    /// It comes in bursts: a healthy second does not end it.
    #[serde(default)]
    pub bursts: bool,
    /// Some do so by design: what is seen first is taken as normal.
    #[serde(default)]
    pub may_be_normal: bool,
    /// After this long without it, it has ended; unless it comes in bursts, a healthy second ends it at once.
    pub quiet_seconds: f64,
}

/// Settings of [`Fold::Distribution`]. A value is high when it is beyond the next power of two above nearly all that is normal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The statistics.
    pub kind: KindName,
    /// Of the subject as which end.
    pub role: Role,
    /// Name of the number of all …
    pub total: String,
    /// … and of their distribution, in ns.
    pub values: String,
    /// A value below this is never high.
    pub least_seconds: f64,
    /// All peers are judged together.
    #[serde(default)]
    pub alone: bool,
    /// How bad it is when most are high.
    #[serde(default)]
    pub severity_of_most: Option<Severity>,
    /// After this long without traffic it has ended; a second as usual ends it at once.
    pub quiet_seconds: f64,
}

/// Settings of [`Fold::Level`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The fact that is measured; it is told as the row's gauge.
    pub measure: String,
    /// From here on it holds …
    pub enter: f64,
    /// … until it is below this.
    pub leave: f64,
    /// After this long without a measurement it has ended.
    pub quiet_seconds: f64,
}

/// Settings of [`Fold::Amplification`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amplification {
    /// What counts attempts; the same attempt may be counted by several, of which the largest is right.
    pub attempts: Vec<Attempts>,
    /// What counts requests to the subject.
    pub requests: Requests,
    /// After this long without a storm it has ended.
    pub quiet_seconds: f64,
}

/// Statistics of what the subject tries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// The statistics.
    pub kind: KindName,
    /// Name of the number of all …
    pub total: String,
    /// … and of those that failed.
    pub failed: Vec<String>,
    /// Name of the number of those that were waited for in vain: then these attempts alone ended in the same second as the
    /// requests.
    #[serde(default)]
    pub waited: Option<String>,
}

/// Statistics of what the subject is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// The statistics.
    pub kind: KindName,
    /// Name of the number of all.
    pub total: String,
}

/// Events of one kind that tell of a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The kind.
    pub kind: KindName,
    /// An expression that the others may use as `own`.
    #[serde(default)]
    pub own: Option<String>,
    /// Expression over the event: whether it tells of the condition.
    #[serde(default)]
    pub when: Option<String>,
    /// Whom it is about.
    #[serde(default = "End::subject")]
    pub on: End,
    /// Towards whom.
    #[serde(default = "End::object")]
    pub towards: End,
    /// Expression over the event: whether it holds; of a state, `false` is its end.
    #[serde(default)]
    pub holds: Option<String>,
    /// Another severity than the row's.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Expressions by the name of the fact that they give.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// An end of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its subject.
    Subject,
    /// Its object.
    Object,
    /// Neither.
    Nobody,
}

impl End {
    fn subject() -> Self {
        Self::Subject
    }

    fn object() -> Self {
        Self::Object
    }
}

/// A kind of event by its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindName(pub Kind);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = String::deserialize(deserializer)?;
        Kind::parse(&token)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format_args!("{token:?} is no kind of event")))
    }
}

impl KindName {
    /// The number of that name, or what is wrong with it.
    pub(crate) fn counter(self, name: &str) -> Result<Counter, String> {
        counter(self.0, name).ok_or_else(|| format!("{} has no number {name:?}", self.0.token()))
    }

    /// The distribution of that name, or what is wrong with it.
    pub(crate) fn distribution(self, name: &str) -> Result<counters::Distribution, String> {
        counters::distribution(self.0, name)
            .ok_or_else(|| format!("{} has no distribution {name:?}", self.0.token()))
    }
}

impl Row {
    /// Whether it is something that was done once, rather than a state that lasts.
    pub fn is_point(&self) -> bool {
        matches!(self.fold, Fold::Point)
    }

    /// Whether it is a share of what two ends exchange, which both of them count.
    pub(crate) fn counts_traffic(&self) -> bool {
        matches!(self.fold, Fold::Ratio(_) | Fold::Distribution(_))
    }

    /// Within what time before it was first told it began, ns: only sums over such a time tell of it.
    pub(crate) fn summed_ns(&self) -> u64 {
        if matches!(self.fold, Fold::Distribution(_) | Fold::Level(_)) {
            WINDOW_NS
        } else {
            0
        }
    }

    /// Whether its episodes may have this fact.
    pub(crate) fn names_fact(&self, fact: &str) -> bool {
        self.from.iter().any(|source| source.facts.contains_key(fact))
    }
}

/// Seconds of a table.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast ends at zero and at the largest"
)]
pub(crate) fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
