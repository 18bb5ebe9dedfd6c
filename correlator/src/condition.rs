//! What can hold on an entity, and the catalogue (`rules/conditions.yaml`) of how each is called and worded.

mod facts;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::episode::Episode;
use facts::Facts;
use minijinja::{Environment, Value};
use serde::{Deserialize, Serialize};

/// The table of conditions: variant and token.
macro_rules! conditions {
    ($($variant:ident = $token:literal),+ $(,)?) => {
        /// What holds on an entity; the token is the same in episodes, rules and incidents.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Condition { $(#[doc = concat!("`", $token, "`")] #[serde(rename = $token)] $variant),+ }

        impl Condition {
            /// Every condition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The token.
            pub fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }

            /// The condition with that token; `None` for one of a later version.
            pub fn parse(token: &str) -> Option<Self> {
                match token { $($token => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

conditions! {
    ExecutableChanged = "executable_changed",
    ImageChanged = "image_changed",
    ReplicasChanged = "replicas_changed",
    ResourcesChanged = "resources_changed",
    EnvironmentChanged = "environment_changed",
    CommandChanged = "command_changed",
    SpecChanged = "spec_changed",
    SignalSent = "signal_sent",
    ContainerStopped = "container_stopped",
    MemoryGrowth = "memory_growth",
    OomKill = "oom_kill",
    ProcessCrashed = "process_crashed",
    ProcessStopped = "process_stopped",
    ConnectRefused = "connect_refused",
    ConnectTimedOut = "connect_timed_out",
    ConnectUnreachable = "connect_unreachable",
    ConnectFailed = "connect_failed",
    Http5xx = "http_5xx",
    Http5xxReceived = "http_5xx_received",
    HttpUnanswered = "http_unanswered",
    RetryStorm = "retry_storm",
    NodeMemoryPressure = "node_memory_pressure",
    NetworkLoss = "network_loss",
}

impl Condition {
    /// Whether it is something that was done once, rather than a state that lasts.
    pub fn is_point(self) -> bool {
        match self {
            Self::ExecutableChanged
            | Self::ImageChanged
            | Self::ReplicasChanged
            | Self::ResourcesChanged
            | Self::EnvironmentChanged
            | Self::CommandChanged
            | Self::SpecChanged
            | Self::SignalSent
            | Self::ContainerStopped => true,
            Self::MemoryGrowth
            | Self::OomKill
            | Self::ProcessCrashed
            | Self::ProcessStopped
            | Self::ConnectRefused
            | Self::ConnectTimedOut
            | Self::ConnectUnreachable
            | Self::ConnectFailed
            | Self::Http5xx
            | Self::Http5xxReceived
            | Self::HttpUnanswered
            | Self::RetryStorm
            | Self::NodeMemoryPressure
            | Self::NetworkLoss => false,
        }
    }
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

/// One entry of the catalogue; the file's head says what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Template of the low-cardinality name.
    pub name: String,
    /// Template of the timeline's line.
    pub text: String,
    /// Template of the effect in a sentence.
    pub phrase: String,
    /// Template of the beginning in a sentence.
    #[serde(default)]
    pub root_phrase: Option<String>,
    /// Template of its name as a hypothesis.
    pub hypothesis: String,
    /// Weight of "needs no observed cause".
    pub spontaneous: f64,
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
}

/// Every condition's entry, and its templates. Each text is compiled once, and is the name of what it was compiled to.
#[derive(Debug)]
pub struct Catalogue {
    entries: BTreeMap<Condition, Entry>,
    templates: Environment<'static>,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the YAML that is expected.
    #[error("conditions.yaml cannot be read")]
    Parse(#[source] Box<serde_saphyr::Error>),
    /// A condition of the code has no entry.
    #[error("conditions.yaml has no entry for {0}")]
    Missing(&'static str),
    /// An entry names no condition of the code.
    #[error("conditions.yaml describes {0:?}, which is no condition")]
    Unknown(String),
    /// A template does not parse.
    #[error("template of {condition} does not parse: {text:?}")]
    Template {
        /// Of which condition.
        condition: &'static str,
        /// The template.
        text: String,
        /// What the template engine says.
        #[source]
        source: minijinja::Error,
    },
}

impl Catalogue {
    /// Reads a catalogue and checks that every condition has an entry whose templates parse.
    pub fn parse(yaml: &str) -> Result<Self, Error> {
        let raw: BTreeMap<String, Entry> =
            serde_saphyr::from_str(yaml).map_err(|source| Error::Parse(Box::new(source)))?;
        let mut entries = BTreeMap::new();
        for (token, entry) in raw {
            let condition = Condition::parse(&token).ok_or(Error::Unknown(token))?;
            entries.insert(condition, entry);
        }
        if let Some(missing) = Condition::ALL
            .iter()
            .find(|condition| !entries.contains_key(condition))
        {
            return Err(Error::Missing(missing.token()));
        }
        let mut catalogue = Self {
            entries,
            templates: environment(),
        };
        catalogue.compile_entries()?;
        Ok(catalogue)
    }

    /// The entry of a condition.
    ///
    /// # Panics
    /// Never: a catalogue without an entry for every condition cannot be made.
    pub fn entry(&self, condition: Condition) -> &Entry {
        #[expect(
            clippy::expect_used,
            reason = "parse() refuses a catalogue with a condition missing"
        )]
        self.entries.get(&condition).expect("complete catalogue")
    }

    /// Fills a template with what is known of an episode. A template that fails at run time, because a fact is not of
    /// the expected type, gives the template itself rather than nothing.
    pub fn render(&self, template: &str, episode: &Arc<Episode>) -> String {
        self.fill(template, Facts::of(episode))
            .unwrap_or_else(|_| template.to_owned())
    }

    /// Fills a template that needs only a value.
    pub fn render_value(&self, template: &str, value: f64) -> String {
        self.fill(template, minijinja::context! { value })
            .unwrap_or_else(|_| value.to_string())
    }

    /// Fills a template that needs only the name of whom it speaks.
    pub fn render_subject(&self, template: &str, subject: &str) -> String {
        self.fill(template, minijinja::context! { subject, object => subject })
            .unwrap_or_else(|_| template.to_owned())
    }

    /// Whether an expression over the facts of `effect`, and those of `cause` where there is one, is true. One that fails at
    /// run time, because a fact is not of the expected type, excludes nothing.
    pub fn holds(&self, expression: &str, effect: &Arc<Episode>, cause: Option<&Arc<Episode>>) -> bool {
        self.fill(expression, Facts::with_cause(effect, cause))
            .map_or(true, |told| !told.is_empty())
    }

    fn fill(&self, text: &str, facts: Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(text)?.render(facts)
    }

    /// Compiles an expression for [`Self::holds`] and returns the facts that it names, of effect or cause.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile_expression(&mut self, expression: &str) -> Result<BTreeSet<String>, minijinja::Error> {
        self.templates.compile_expression_owned(expression.to_owned())?;
        let template = format!("{{% if {expression} %}}true{{% endif %}}");
        self.templates
            .add_template_owned(expression.to_owned(), template)?;
        let named = self
            .templates
            .get_template(expression)?
            .undeclared_variables(true);
        let fact = |name: String| name.strip_prefix("cause.").map(ToOwned::to_owned).unwrap_or(name);
        Ok(named.into_iter().map(fact).collect())
    }

    fn compile_entries(&mut self) -> Result<(), Error> {
        let texts: Vec<_> = self
            .entries
            .iter()
            .flat_map(|(condition, entry)| entry.templates().map(|text| (*condition, text.to_owned())))
            .collect();
        texts
            .iter()
            .try_for_each(|(condition, text)| self.compile(*condition, text))
    }

    /// Compiles a template of something said about `condition`, for [`Self::render`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&mut self, condition: Condition, text: &str) -> Result<(), Error> {
        let compiled = self
            .templates
            .add_template_owned(text.to_owned(), text.to_owned());
        compiled.map_err(|source| Error::Template {
            condition: condition.token(),
            text: text.to_owned(),
            source,
        })
    }
}

impl Entry {
    /// All its texts that are templates.
    fn templates(&self) -> impl Iterator<Item = &str> {
        let always = [
            &self.name,
            &self.text,
            &self.phrase,
            &self.hypothesis,
            &self.gauge_text,
        ];
        always.into_iter().chain(&self.root_phrase).map(String::as_str)
    }
}

fn environment() -> Environment<'static> {
    let mut templates = Environment::new();
    templates.add_filter("bytes", |value: f64| bytes_text(value));
    templates.add_filter("sh", |text: &str| {
        shlex::try_quote(text).map_or_else(|_| "''".to_owned(), Cow::into_owned)
    });
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    templates
}

/// `63.9 MiB`: binary units with one decimal.
pub fn bytes_text(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = UNITS
        .iter()
        .enumerate()
        .rev()
        .find(|(power, _)| bytes.abs() >= 1024_f64.powi(i32::try_from(*power).unwrap_or(0)));
    let (power, name) = unit.unwrap_or((0, &"B"));
    let scaled = bytes / 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    if power == 0 {
        format!("{scaled:.0} {name}")
    } else {
        format!("{scaled:.1} {name}")
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::episode::Fact;

    use super::*;

    #[test]
    fn the_shipped_catalogue_words_every_condition() {
        Catalogue::parse(include_str!("../rules/conditions.yaml")).unwrap();
    }

    #[test]
    fn an_oom_kill_whose_numbers_nobody_could_read_has_none() {
        let catalogue = Catalogue::parse(include_str!("../rules/conditions.yaml")).unwrap();
        let text = &catalogue.entry(Condition::OomKill).text;
        let facts = [
            ("pid", Fact::Number(7.0)),
            ("trigger", Fact::Text("itself".into())),
        ];
        let mut episode = Episode {
            facts: facts.map(|(name, fact)| (name.into(), fact)).into(),
            ..Episode::default()
        };
        assert_eq!(
            catalogue.render(text, &Arc::new(episode.clone())),
            "OOM kill, pid 7, triggered by itself"
        );
        episode.facts.insert("rss_bytes".into(), Fact::Number(1024.0));
        assert_eq!(
            catalogue.render(text, &Arc::new(episode.clone())),
            "OOM kill, pid 7 (rss 1.0 KiB), triggered by itself"
        );
    }

    #[test]
    fn errors_are_told_by_what_is_known_of_them() {
        let catalogue = Catalogue::parse(include_str!("../rules/conditions.yaml")).unwrap();
        let text = &catalogue.entry(Condition::Http5xx).text;
        let mut episode = Episode::default();
        assert_eq!(
            catalogue.render(text, &Arc::new(episode.clone())),
            "HTTP 5xx",
            "a first error, no window yet"
        );
        episode.facts.insert("ratio".into(), Fact::Number(0.96));
        assert_eq!(
            catalogue.render(text, &Arc::new(episode.clone())),
            "HTTP 5xx, 96 % of requests"
        );
        episode.facts.insert("status".into(), Fact::Number(503.0));
        assert_eq!(
            catalogue.render(text, &Arc::new(episode.clone())),
            "HTTP 503, 96 % of requests"
        );
    }

    #[test]
    fn bytes_are_shown_in_binary_units() {
        assert_eq!(bytes_text(512.0), "512 B");
        assert_eq!(bytes_text(67_108_864.0), "64.0 MiB");
    }

    #[test]
    fn a_catalogue_with_a_gap_or_a_stranger_is_refused() {
        assert!(matches!(Catalogue::parse("{}"), Err(Error::Missing(_))));
        let stranger = include_str!("../rules/conditions.yaml").replace("oom_kill:", "oom_killed:");
        assert!(matches!(Catalogue::parse(&stranger), Err(Error::Unknown(name)) if name == "oom_killed"));
    }
}
