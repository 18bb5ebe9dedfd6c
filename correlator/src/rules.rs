//! Rule packs: one YAML file per theme, embedded, and overridable by files of the same name in a folder.
//!
//! A rule states a mechanism: *cause → effect, when this relation holds, within this lag, with this prior*.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::condition::{self, Catalogue, Condition};

const CONDITIONS: (&str, &str) = ("conditions.yaml", include_str!("../rules/conditions.yaml"));
const RECOMMENDATIONS: (&str, &str) = (
    "recommendations.yaml",
    include_str!("../rules/recommendations.yaml"),
);
const PACKS: [(&str, &str); 4] = [
    ("memory.yaml", include_str!("../rules/memory.yaml")),
    ("process.yaml", include_str!("../rules/process.yaml")),
    ("network.yaml", include_str!("../rules/network.yaml")),
    ("http.yaml", include_str!("../rules/http.yaml")),
];

/// How the entities of cause and effect must be related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Both on the same entity.
    Same,
    /// Both on the same process.
    Process,
    /// The effect's entity calls the cause's entity.
    Callee,
    /// Same or callee.
    CalleeOrSame,
    /// The effect's entity runs on the cause's node.
    Node,
    /// Both call the same entity.
    SharedCallee,
}

/// One mechanism.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name in incidents.
    pub id: String,
    /// Any of these …
    pub cause: Vec<Condition>,
    /// … leads to any of these …
    pub effect: Vec<Condition>,
    /// … where the entities are related so.
    pub relation: Relation,
    /// Probability that the cause, where it holds, brings the effect about.
    pub prior: f64,
    /// Within this lag the link is as likely as it gets.
    pub typical_seconds: f64,
    /// Beyond this lag there is no link.
    pub longest_seconds: f64,
    /// What the mechanism leaves behind: an expression over the effect's facts, and those of `cause` where it was seen.
    #[serde(default)]
    pub when: Option<String>,
    /// The effect is the same happening seen from elsewhere: it counts as part of its cause, not as a step.
    #[serde(default)]
    pub absorbs: bool,
    /// No cause, only company: what happens to both has one cause that nobody saw. They are told as one incident, without an
    /// arrow between them.
    #[serde(default)]
    pub joins: bool,
    /// Why, in words.
    pub mechanism: String,
}

/// What to do about a root cause; every field but `root` is a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// For this root cause.
    pub root: Condition,
    /// In words.
    pub action: String,
    /// Exact command.
    #[serde(default)]
    pub command: String,
    /// What to look at before.
    pub precheck: String,
    /// When it has worked.
    pub healed_when: String,
}

/// Rules, catalogue and advice, checked.
#[derive(Debug)]
pub struct RuleBook {
    /// Wording and weights of conditions.
    pub catalogue: Catalogue,
    /// All mechanisms.
    pub rules: Vec<Arc<Rule>>,
    /// All recommendations.
    pub advice: Vec<Advice>,
    by_cause: BTreeMap<Condition, Vec<Arc<Rule>>>,
    by_effect: BTreeMap<Condition, Vec<Arc<Rule>>>,
    named_facts: BTreeSet<String>,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file in the folder cannot be read.
    #[error("rule file {path} cannot be read")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not the YAML that is expected.
    #[error("rule file {file} is not valid")]
    Parse {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// What a mechanism leaves behind is no expression.
    #[error("rule {rule}: when is no expression")]
    When {
        /// Which.
        rule: String,
        /// What the template engine says.
        #[source]
        source: minijinja::Error,
    },
    /// The catalogue or a template is not valid.
    #[error(transparent)]
    Catalogue(#[from] condition::Error),
    /// A rule contradicts itself.
    #[error("rule {rule}: {problem}")]
    Rule {
        /// Which.
        rule: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl RuleBook {
    /// The rules that are built in.
    pub fn embedded() -> Result<Self, Error> {
        Self::load(None)
    }

    /// The built-in rules, each file replaced by the one of the same name in `folder`, where there is one; further
    /// `*.yaml` files there are further packs.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut catalogue = Catalogue::parse(&text_of(CONDITIONS, folder)?)?;
        let advice: Vec<Advice> = parse("recommendations.yaml", &text_of(RECOMMENDATIONS, folder)?)?;
        for advice in &advice {
            for text in [
                &advice.action,
                &advice.command,
                &advice.precheck,
                &advice.healed_when,
            ] {
                catalogue.compile(advice.root, text)?;
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        for pack in PACKS {
            rules.extend(parse::<Vec<Rule>>(pack.0, &text_of(pack, folder)?)?);
        }
        for (name, text) in further_packs(folder)? {
            rules.extend(parse::<Vec<Rule>>(&name, &text)?);
        }
        check(&rules)?;
        let mut named_facts = BTreeSet::new();
        for rule in &rules {
            if let Some(when) = &rule.when {
                let named = catalogue.compile_expression(when);
                named_facts.extend(named.map_err(|source| Error::When {
                    rule: rule.id.clone(),
                    source,
                })?);
            }
        }
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        Ok(Self {
            catalogue,
            advice,
            by_cause: by_condition(&rules, |rule| &rule.cause),
            by_effect: by_condition(&rules, |rule| &rule.effect),
            rules,
            named_facts,
        })
    }

    /// Rules whose effect is `condition`.
    pub fn explaining(&self, condition: Condition) -> &[Arc<Rule>] {
        self.by_effect
            .get(&condition)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Rules of which `condition` is a cause.
    pub fn following(&self, condition: Condition) -> &[Arc<Rule>] {
        self.by_cause
            .get(&condition)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Whether an expression of a rule asks for this fact.
    pub fn asks_for(&self, fact: &str) -> bool {
        self.named_facts.contains(fact)
    }

    /// After this long what `condition` brings about has shown, seconds; 0 where it brings nothing about.
    pub fn longest_seconds(&self, condition: Condition) -> f64 {
        let rules = self.following(condition).iter();
        rules.map(|rule| rule.longest_seconds).fold(0.0, f64::max)
    }
}

fn by_condition(
    rules: &[Arc<Rule>],
    side: impl Fn(&Rule) -> &[Condition],
) -> BTreeMap<Condition, Vec<Arc<Rule>>> {
    let mut sorted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for rule in rules {
        for condition in side(rule) {
            sorted.entry(*condition).or_default().push(Arc::clone(rule));
        }
    }
    sorted
}

fn parse<T: serde::de::DeserializeOwned>(file: &str, yaml: &str) -> Result<T, Error> {
    serde_saphyr::from_str(yaml).map_err(|source| Error::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })
}

fn text_of((name, embedded): (&str, &str), folder: Option<&Path>) -> Result<String, Error> {
    match folder
        .map(|folder| folder.join(name))
        .filter(|path| path.exists())
    {
        Some(path) => read(&path),
        None => Ok(embedded.to_owned()),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })
}

fn further_packs(folder: Option<&Path>) -> Result<Vec<(String, String)>, Error> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let failed = |source| Error::Read {
        path: folder.display().to_string(),
        source,
    };
    let known: BTreeSet<&str> = PACKS
        .iter()
        .chain([&CONDITIONS, &RECOMMENDATIONS])
        .map(|(name, _)| *name)
        .collect();
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.extension().is_some_and(|extension| extension == "yaml") && !known.contains(name.as_str()) {
            packs.push((name, read(&path)?));
        }
    }
    packs.sort();
    Ok(packs)
}

fn check(rules: &[Rule]) -> Result<(), Error> {
    let mut ids = BTreeSet::new();
    for rule in rules {
        let refuse = |problem| {
            Err(Error::Rule {
                rule: rule.id.clone(),
                problem,
            })
        };
        if !ids.insert(&rule.id) {
            return refuse("another rule has the same id");
        }
        if !(rule.prior > 0.0 && rule.prior <= 1.0) {
            return refuse("prior must be above 0 and at most 1");
        }
        if !(rule.typical_seconds > 0.0 && rule.typical_seconds <= rule.longest_seconds) {
            return refuse("typical_seconds must be above 0 and at most longest_seconds");
        }
        if rule.cause.is_empty() || rule.effect.is_empty() {
            return refuse("cause and effect must name a condition each");
        }
        let is_itself = rule.relation == Relation::Same && !rule.joins;
        if is_itself && rule.cause.iter().any(|cause| rule.effect.contains(cause)) {
            return refuse("a condition cannot cause itself on the same entity");
        }
        if rule.joins && rule.absorbs {
            return refuse("what only keeps company is no part of it");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bus_schema::Entity;
    use bus_schema::entity::Workload;
    use bus_schema::episode::{Episode, Fact};

    use super::*;

    #[test]
    fn the_shipped_rules_are_valid() {
        let book = RuleBook::embedded().unwrap();
        assert!(
            book.explaining(Condition::OomKill)
                .iter()
                .any(|rule| rule.id == "growth-reaches-limit")
        );
    }

    #[test]
    fn every_condition_that_is_done_to_something_has_a_rule_that_explains_it() {
        let book = RuleBook::embedded().unwrap();
        let exogenous = [Condition::NodeMemoryPressure, Condition::NetworkLoss];
        for condition in Condition::ALL
            .iter()
            .filter(|condition| !condition.is_point() && !exogenous.contains(condition))
        {
            assert!(!book.explaining(*condition).is_empty(), "{condition:?}");
        }
    }

    #[test]
    fn a_rule_that_contradicts_itself_is_refused_with_its_name() {
        let folder = tempfile_folder(
            "[{id: x, cause: [oom_kill], effect: [http_5xx], relation: same, prior: 2, typical_seconds: 1, longest_seconds: 2, mechanism: m}]",
        );
        let error = RuleBook::load(Some(&folder)).unwrap_err();
        assert_eq!(error.to_string(), "rule x: prior must be above 0 and at most 1");
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// The command against this root cause with these facts.
    fn command(root: Condition, facts: &[(&str, &str)]) -> String {
        let book = RuleBook::embedded().unwrap();
        let fact = |(name, text): &(&str, &str)| ((*name).to_owned(), Fact::Text((*text).to_owned()));
        let workload = Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "redis".into(),
        };
        let episode = Episode {
            subject: Entity::of_workload(workload),
            facts: facts.iter().map(fact).collect(),
            ..Episode::default()
        };
        let advice = book.advice.iter().find(|advice| advice.root == root).unwrap();
        book.catalogue.render(&advice.command, &Arc::new(episode))
    }

    #[test]
    fn a_rollback_is_not_undone() {
        let undo = "kubectl -n shop rollout undo deployment/redis";
        assert_eq!(command(Condition::ImageChanged, &[("new", "redis:v7")]), undo);
        let looking = command(
            Condition::ImageChanged,
            &[("new", "redis:v6"), ("rollback", "true")],
        );
        assert_eq!(looking, "kubectl -n shop describe deployment redis");
    }

    #[test]
    fn a_path_that_is_a_command_stays_a_path() {
        let facts = [("old_path", "/srv/v6"), ("new_path", "/tmp/x; reboot")];
        let command = command(Condition::ExecutableChanged, &facts);
        assert!(command.contains("/srv/v6 '/tmp/x; reboot' &&"), "{command}");
    }

    #[test]
    fn advice_that_does_not_parse_is_refused_when_it_is_read() {
        let folder = tempfile_folder("[]");
        let advice = "[{root: oom_kill, action: '{{ subject', precheck: '', healed_when: ''}]";
        std::fs::write(folder.join("recommendations.yaml"), advice).unwrap();
        let error = RuleBook::load(Some(&folder)).unwrap_err();
        std::fs::remove_dir_all(folder).unwrap();
        assert!(error.to_string().starts_with("template of oom_kill"), "{error}");
    }

    fn tempfile_folder(pack: &str) -> std::path::PathBuf {
        let thread = std::thread::current();
        let name = thread.name().unwrap().replace("::", "-");
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("own.yaml"), pack).unwrap();
        folder
    }
}
