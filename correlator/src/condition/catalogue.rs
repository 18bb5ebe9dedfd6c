//! All rows together, and their templates and expressions, each compiled once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_schema::episode::Episode;
use bus_schema::event::{Event, Kind};
use minijinja::{Environment, Value};

use super::event::{Preceding, Reading, asked_after, event_facts};
use super::facts::Facts;
use super::row::{Fold, Row, Source};
use super::traits::Traits;
use super::{Condition, filters};

/// Every condition's row. Each text of it is compiled once, and is the name of what it was compiled to.
#[derive(Debug)]
pub struct Catalogue {
    rows: BTreeMap<&'static str, (Condition, Row, Traits)>,
    /// Which sources read events of a kind.
    by_kind: BTreeMap<Kind, Vec<SourceOf>>,
    /// Conditions that expressions ask for with `after`.
    asked_after: BTreeSet<String>,
    templates: Environment<'static>,
}

/// A source and whose it is.
#[derive(Debug)]
struct SourceOf {
    condition: Condition,
    source: Source,
    /// Name of the template that reads it.
    template: String,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template does not parse.
    #[error("template of {condition} does not parse: {text:?}")]
    Template {
        /// Of which condition.
        condition: String,
        /// The template.
        text: String,
        /// What the template engine says.
        #[source]
        source: minijinja::Error,
    },
    /// A row contradicts itself.
    #[error("condition {condition}: {problem}")]
    Row {
        /// Which.
        condition: String,
        /// What is wrong.
        problem: String,
    },
}

impl Catalogue {
    /// Takes rows by name and checks them.
    ///
    /// # Errors
    /// When a template or an expression does not parse, or a row asks for what there is not.
    pub fn new(rows: BTreeMap<String, Row>) -> Result<Self, Error> {
        let mut catalogue = Self {
            rows: BTreeMap::new(),
            by_kind: BTreeMap::new(),
            asked_after: BTreeSet::new(),
            templates: environment(),
        };
        for (name, row) in rows {
            let condition = Condition::named(&name);
            check(&row).map_err(|problem| Error::Row {
                condition: name.clone(),
                problem,
            })?;
            for text in texts(&row) {
                catalogue.compile(condition, text)?;
            }
            for (place, source) in row.from.iter().enumerate() {
                catalogue.compile_source(condition, place, source)?;
            }
            let traits = row.traits();
            catalogue.rows.insert(condition.token(), (condition, row, traits));
        }
        Ok(catalogue)
    }

    /// The condition of that name; `None` where there is no such row.
    pub fn condition(&self, name: &str) -> Option<Condition> {
        self.rows.get(name).map(|(condition, ..)| *condition)
    }

    /// A row by its condition; `None` for one that a former table had.
    pub fn row(&self, condition: Condition) -> Option<&Row> {
        self.rows.get(condition.token()).map(|(_, row, _)| row)
    }

    /// A row by the name in an episode.
    pub fn row_of(&self, episode: &Episode) -> Option<&Row> {
        self.rows.get(episode.condition.as_str()).map(|(_, row, _)| row)
    }

    /// All conditions with their rows, in order of names.
    pub fn rows(&self) -> impl Iterator<Item = (Condition, &Row)> {
        self.rows.values().map(|(condition, row, _)| (*condition, row))
    }

    pub(crate) fn traits(&self, condition: Condition) -> Option<Traits> {
        self.rows.get(condition.token()).map(|(_, _, traits)| *traits)
    }

    /// Whether the episode is of something that was done once.
    pub fn is_point(&self, episode: &Episode) -> bool {
        self.row_of(episode).is_some_and(Row::is_point)
    }

    /// Whether the episode is of a state whose end was not told yet.
    pub fn still_holds(&self, episode: &Episode) -> bool {
        let is_state = self
            .row_of(episode)
            .is_some_and(|row| matches!(row.fold, Fold::State(_)));
        is_state && !episode.closed
    }

    /// Whether something always brings it about, so that it is no beginning itself.
    pub fn is_symptom(&self, episode: &Arc<Episode>) -> bool {
        let symptom = self.row_of(episode).and_then(|row| row.symptom.as_ref());
        symptom.is_some_and(|symptom| self.holds(symptom, episode, None))
    }

    /// What an event tells, condition by condition.
    pub(crate) fn read<'a>(&'a self, event: &Event, preceding: &Arc<Preceding>) -> Vec<Reading<'a>> {
        let Some(sources) = self.by_kind.get(&event.kind()) else {
            return Vec::new();
        };
        let facts = event_facts(event, preceding);
        let read = |of: &'a SourceOf| {
            let template = self.templates.get_template(&of.template).ok()?;
            Reading::of(of.condition, &of.source, &template, facts.clone())
        };
        sources.iter().filter_map(read).collect()
    }

    /// Whether an expression of a row asks for what was told before of the same process, and this may be it.
    pub(crate) fn is_asked_after(&self, condition: Condition) -> bool {
        self.asked_after.contains(condition.token())
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

    /// Compiles a template of something said about `condition`, for [`Self::render`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&mut self, condition: Condition, text: &str) -> Result<(), Error> {
        self.add_template(condition, text, text)
    }

    fn compile_source(&mut self, condition: Condition, place: usize, source: &Source) -> Result<(), Error> {
        let expressions = [&source.own, &source.when, &source.holds];
        let texts = expressions.into_iter().flatten().map(String::as_str);
        self.asked_after.extend(asked_after(texts));
        for expression in expressions.into_iter().flatten().chain(source.facts.values()) {
            let compiled = self.templates.compile_expression_owned(expression.clone());
            compiled.map_err(|error| Error::Template {
                condition: condition.to_string(),
                text: expression.clone(),
                source: error,
            })?;
        }
        let template = format!("{condition}/{place}");
        self.add_template(condition, &template, &Reading::template(source))?;
        self.by_kind.entry(source.kind.0).or_default().push(SourceOf {
            condition,
            source: source.clone(),
            template,
        });
        Ok(())
    }

    fn add_template(&mut self, condition: Condition, name: &str, text: &str) -> Result<(), Error> {
        let compiled = self
            .templates
            .add_template_owned(name.to_owned(), text.to_owned());
        compiled.map_err(|source| Error::Template {
            condition: condition.to_string(),
            text: text.to_owned(),
            source,
        })
    }
}

/// All texts of a row that are templates.
fn texts(row: &Row) -> impl Iterator<Item = &str> {
    let always = [
        &row.name,
        &row.text,
        &row.phrase,
        &row.hypothesis,
        &row.gauge_text,
    ];
    always.into_iter().chain(&row.root_phrase).map(String::as_str)
}

/// What a row asks for, there must be.
fn check(row: &Row) -> Result<(), String> {
    match &row.fold {
        Fold::Ratio(fold) => {
            fold.kind.counter(&fold.total)?;
            fold.kind.counter(&fold.failed)?;
        }
        Fold::Distribution(fold) => {
            fold.kind.counter(&fold.total)?;
            fold.kind.distribution(&fold.values)?;
        }
        Fold::Amplification(fold) => {
            fold.requests.kind.counter(&fold.requests.total)?;
            for attempts in &fold.attempts {
                let names = [&attempts.total]
                    .into_iter()
                    .chain(&attempts.failed)
                    .chain(&attempts.waited);
                for name in names {
                    attempts.kind.counter(name)?;
                }
            }
        }
        Fold::Level(fold) if fold.leave > fold.enter => {
            return Err("it is left above where it is entered".to_owned());
        }
        Fold::Point | Fold::Occurrences(_) | Fold::State(_) | Fold::Level(_) => {
            if row.from.is_empty() {
                return Err("no event tells of it: `from` is empty".to_owned());
            }
        }
    }
    Ok(())
}

fn environment() -> Environment<'static> {
    let mut templates = Environment::new();
    filters::add(&mut templates);
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    templates
}

#[cfg(test)]
mod tests;
