//! Rule packs: one YAML file per theme, embedded, and overridable by files of the same name in a folder.
//!
//! A rule states a mechanism: *cause → effect, when this relation holds, within this lag, with this prior*.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::condition::{self, Catalogue, Condition};
use files::{further_packs, parse, text_of};

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
mod tests;
