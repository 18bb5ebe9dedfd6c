//! Rules: one folder a theme, embedded, and overridable by files of the same name in another folder.
//!
//! A rule states a mechanism: *cause → effect, along this path, within this lag, with this prior*.

pub mod ablation;
mod files;
pub mod path;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::condition::{self, Catalogue, Condition, Row};
use ablation::Part;
use path::Path;

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
    pub path: Path,
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
    /// It works no more once one of these has happened to what the cause happened to: what runs since is another version, or what
    /// was suspended goes on.
    #[serde(default)]
    pub until: Vec<Condition>,
    /// It leads over a call of which nobody sees what is exchanged; otherwise the call itself tells.
    #[serde(default)]
    pub unread: bool,
    /// Why, in words.
    pub mechanism: String,
}

impl Rule {
    /// All that it names.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let ends = self.cause.iter().chain(&self.effect);
        ends.chain(&self.until)
    }
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
    pub catalogue: Arc<Catalogue>,
    /// All mechanisms.
    pub rules: Vec<Arc<Rule>>,
    /// All recommendations.
    pub advice: Vec<Advice>,
    /// What makes one thing of all that an edit changes.
    pub(crate) same_edit: Arc<Rule>,
    /// What makes one thing of all that is brought about by something that nobody saw.
    pub(crate) same_unseen: Arc<Rule>,
    by_cause: BTreeMap<Condition, Vec<Arc<Rule>>>,
    by_effect: BTreeMap<Condition, Vec<Arc<Rule>>>,
    by_end: BTreeMap<Condition, Vec<Arc<Rule>>>,
    named_facts: BTreeSet<String>,
    left_out: Option<Part>,
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
    /// What makes a symptom of a condition is no expression.
    #[error("condition {condition}: symptom is no expression")]
    Symptom {
        /// Which.
        condition: Condition,
        /// What the template engine says.
        #[source]
        source: minijinja::Error,
    },
    /// Something speaks of a condition that has no row.
    #[error("{of} names {condition:?}, which is no condition")]
    Unknown {
        /// A rule, or advice.
        of: String,
        /// The name.
        condition: String,
    },
    /// Two themes have a condition of one name.
    #[error("condition {0} has two rows")]
    Twice(String),
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

/// Links the parts of an edit; it explains nothing.
fn same_edit() -> Rule {
    Rule {
        id: "same-edit".to_owned(),
        cause: Vec::new(),
        effect: Vec::new(),
        path: Path::Same,
        prior: 1.0,
        typical_seconds: 1.0,
        longest_seconds: 1.0,
        when: None,
        absorbs: true,
        joins: false,
        until: Vec::new(),
        unread: false,
        mechanism: "it was changed with it".to_owned(),
    }
}

/// Links what comes from the same cause, of which nothing is known; it explains nothing.
fn same_unseen() -> Rule {
    Rule {
        id: "same-unseen".to_owned(),
        absorbs: false,
        joins: true,
        mechanism: "nobody saw what caused both".to_owned(),
        ..same_edit()
    }
}

impl RuleBook {
    /// The rules that are built in.
    pub fn embedded() -> Result<Self, Error> {
        Self::load(None)
    }

    /// The built-in rules, each file replaced by the one of the same theme and name in `folder`, where there is one; further
    /// themes there are added.
    pub fn load(folder: Option<&std::path::Path>) -> Result<Self, Error> {
        Self::load_without(folder, None)
    }

    /// The same for a model that lacks a part.
    pub fn load_without(folder: Option<&std::path::Path>, part: Option<Part>) -> Result<Self, Error> {
        let files = files::all(folder)?;
        let mut rows = rows(&files)?;
        for row in rows.values_mut() {
            if let Some(part) = part {
                part.leave_out(row);
            }
        }
        let mut book = Self::of_files(&files, rows)?;
        book.left_out = part;
        Ok(book)
    }

    fn of_files(files: &BTreeMap<String, String>, rows: BTreeMap<String, Row>) -> Result<Self, Error> {
        let mut catalogue = Catalogue::new(rows)?;
        let advice: Vec<Vec<Advice>> = files::parsed(files, files::ADVICE)?;
        let advice: Vec<_> = advice.into_iter().flatten().collect();
        for advice in &advice {
            known(&catalogue, advice.root, "advice")?;
            for text in [
                &advice.action,
                &advice.command,
                &advice.precheck,
                &advice.healed_when,
            ] {
                catalogue.compile(advice.root, text)?;
            }
        }
        let rules: Vec<Vec<Rule>> = files::parsed(files, files::MECHANISMS)?;
        let rules: Vec<_> = rules.into_iter().flatten().collect();
        check(&rules)?;
        let mut named_facts = BTreeSet::new();
        for rule in &rules {
            for condition in rule.conditions() {
                known(&catalogue, *condition, &rule.id)?;
            }
            if let Some(when) = &rule.when {
                let named = catalogue.compile_expression(when);
                named_facts.extend(named.map_err(|source| Error::When {
                    rule: rule.id.clone(),
                    source,
                })?);
            }
        }
        let symptoms = catalogue
            .rows()
            .filter_map(|(condition, row)| Some((condition, row.symptom.clone()?)));
        for (condition, symptom) in symptoms.collect::<Vec<_>>() {
            let named = catalogue.compile_expression(&symptom);
            named_facts.extend(named.map_err(|source| Error::Symptom { condition, source })?);
        }
        let rules = rules.into_iter().map(Arc::new).collect();
        Ok(Self::of(Arc::new(catalogue), advice, rules, named_facts))
    }

    fn of(
        catalogue: Arc<Catalogue>,
        advice: Vec<Advice>,
        rules: Vec<Arc<Rule>>,
        named_facts: BTreeSet<String>,
    ) -> Self {
        Self {
            catalogue,
            advice,
            same_edit: Arc::new(same_edit()),
            same_unseen: Arc::new(same_unseen()),
            by_cause: by_condition(&rules, |rule| &rule.cause),
            by_effect: by_condition(&rules, |rule| &rule.effect),
            by_end: by_condition(&rules, |rule| &rule.until),
            rules,
            named_facts,
            left_out: None,
        }
    }

    /// The same with one rule alone.
    #[cfg(test)]
    pub(crate) fn with_only(&self, id: &str) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.id == id).cloned();
        let catalogue = Arc::clone(&self.catalogue);
        Self::of(catalogue, Vec::new(), rules.collect(), self.named_facts.clone())
    }

    /// Rules whose effect is `condition`.
    pub fn explaining(&self, condition: Condition) -> &[Arc<Rule>] {
        rules_of(&self.by_effect, condition)
    }

    /// Rules of which `condition` is a cause.
    pub fn following(&self, condition: Condition) -> &[Arc<Rule>] {
        rules_of(&self.by_cause, condition)
    }

    /// Rules that work no more once `condition` has happened.
    pub fn ended_by(&self, condition: Condition) -> &[Arc<Rule>] {
        rules_of(&self.by_end, condition)
    }

    /// Whether the model lacks this part.
    pub fn lacks(&self, part: Part) -> bool {
        self.left_out == Some(part)
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

fn rules_of(sorted: &BTreeMap<Condition, Vec<Arc<Rule>>>, condition: Condition) -> &[Arc<Rule>] {
    sorted.get(&condition).map(Vec::as_slice).unwrap_or_default()
}

/// The rows of all themes by name.
fn rows(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Row>, Error> {
    let themes: Vec<BTreeMap<String, Row>> = files::parsed(files, files::CONDITIONS)?;
    let mut rows = BTreeMap::new();
    for (name, row) in themes.into_iter().flatten() {
        if rows.insert(name.clone(), row).is_some() {
            return Err(Error::Twice(name));
        }
    }
    Ok(rows)
}

fn known(catalogue: &Catalogue, condition: Condition, of: &str) -> Result<(), Error> {
    if catalogue.row(condition).is_some() {
        return Ok(());
    }
    Err(Error::Unknown {
        of: of.to_owned(),
        condition: condition.to_string(),
    })
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
        let is_itself = rule.path == Path::Same && !rule.joins;
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
