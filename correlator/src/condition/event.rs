//! What an event says of a condition: the expressions of a source, evaluated over the event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bus_schema::Entity;
use bus_schema::episode::Fact;
use bus_schema::event::Event;
use minijinja::value::{Object, Value, ValueKind};
use minijinja::{State, Template};
use serde::{Deserialize, Serialize};

use super::Condition;
use super::row::Source;

/// A source that has something to say of an event.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) condition: Condition,
    pub(crate) source: &'a Source,
    pub(crate) facts: BTreeMap<String, Fact>,
    /// `false` where the event tells the end of a state, or that a measurement is no trouble.
    pub(crate) holds: bool,
}

/// Variables of a reading's template.
const MATCHED: &str = "matched";
const HOLDS: &str = "holds_";
const FACT: &str = "fact_";

impl<'a> Reading<'a> {
    /// A template that evaluates all expressions of `source` into variables.
    pub(super) fn template(source: &Source) -> String {
        let set = |name: &str, expression: &str| format!("{{% set {name} = ({expression}) %}}");
        let facts = source.facts.iter();
        let facts = facts.map(|(name, expression)| set(&format!("{FACT}{name}"), expression));
        [
            source
                .own
                .as_deref()
                .map_or_else(String::new, |own| set("own", own)),
            set(MATCHED, source.when.as_deref().unwrap_or("true")),
            format!("{{% if {MATCHED} %}}"),
            set(HOLDS, source.holds.as_deref().unwrap_or("true")),
            facts.collect(),
            "{% endif %}".to_owned(),
        ]
        .concat()
    }

    /// What `source` says of the event with these `facts`; `None` where it says nothing, or where an expression fails because
    /// the event lacks what it asks for.
    pub(super) fn of(
        condition: Condition,
        source: &'a Source,
        template: &Template<'_, '_>,
        facts: Value,
    ) -> Option<Self> {
        let evaluated = template.render_captured(facts).ok()?;
        let state = evaluated.state();
        let is_true = |name: &str| state.lookup(name).is_some_and(|value| value.is_true());
        if !is_true(MATCHED) {
            return None;
        }
        let facts = source.facts.keys();
        let facts = facts.filter_map(|name| Some((name.clone(), fact(state, name)?)));
        Some(Self {
            condition,
            source,
            facts: facts.collect(),
            holds: is_true(HOLDS),
        })
    }
}

/// A number or a text; what is false or not there is no fact.
fn fact(state: &State<'_, '_>, name: &str) -> Option<Fact> {
    let value = state.lookup(&format!("{FACT}{name}"))?;
    let kind = value.kind();
    if kind == ValueKind::Number {
        f64::try_from(value).ok().map(Fact::Number)
    } else if [ValueKind::Undefined, ValueKind::None].contains(&kind) {
        None
    } else if kind == ValueKind::Bool {
        value.is_true().then(|| Fact::Text("true".to_owned()))
    } else {
        Some(Fact::Text(value.to_string()))
    }
}

/// An event as a template sees it: `subject`, `object`, `count`, `window_ns`, `after`, and the fields of its body.
#[derive(Debug)]
struct EventFacts {
    event: Event,
    body: OnceLock<Value>,
    preceding: Arc<Preceding>,
}

pub(super) fn event_facts(event: &Event, preceding: &Arc<Preceding>) -> Value {
    Value::from_object(EventFacts {
        event: event.clone(),
        body: OnceLock::new(),
        preceding: Arc::clone(preceding),
    })
}

impl Object for EventFacts {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let event = &self.event;
        match name.as_str()? {
            "subject" => Some(entity(&event.subject)),
            "object" => event.object.as_ref().map(entity),
            "count" => Some(Value::from(event.count)),
            "window_ns" => Some(Value::from(event.window_ns)),
            "after" => Some(Value::from_object(After {
                process: process(&event.subject),
                preceding: Arc::clone(&self.preceding),
            })),
            field => {
                let body = self.body.get_or_init(|| Value::from_serialize(&event.body));
                body.get_attr(field).ok().filter(|value| !value.is_undefined())
            }
        }
    }
}

/// The fields of an entity, and `kind`, `namespace` and `name` of its identity.
fn entity(entity: &Entity) -> Value {
    let identity = entity.identity();
    let named = minijinja::context! {
        kind => identity.kind,
        namespace => identity.namespace,
        name => identity.name,
        label => entity.label(),
    };
    minijinja::value::merge_maps([named, Value::from_serialize(entity)])
}

/// Node and process id.
type Process = (String, u32);

/// Most that is remembered: more than is done to processes of a partition at once.
const MOST: usize = 4096;

/// What was told of processes that have not ended, oldest first: an end is judged by what came before it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Preceding {
    told: VecDeque<(Process, Condition)>,
    /// Whether an expression has asked for something that had been told.
    #[serde(skip)]
    was_used: AtomicBool,
}

impl Clone for Preceding {
    fn clone(&self) -> Self {
        Self {
            told: self.told.clone(),
            was_used: AtomicBool::new(self.was_used.load(Ordering::Relaxed)),
        }
    }
}

impl Preceding {
    /// Something was done to the process of `subject`.
    pub(crate) fn note(&mut self, condition: Condition, subject: &Entity) {
        let Some(process) = process(subject) else { return };
        if self.told.len() >= MOST {
            self.told.pop_front();
        }
        self.told.push_back((process, condition));
    }

    /// Forgets the process of `subject` where what came before it was made use of: another may get its number.
    pub(crate) fn forget_used(&mut self, subject: &Entity) {
        if std::mem::take(self.was_used.get_mut())
            && let Some(ended) = process(subject)
        {
            self.told.retain(|(process, _)| *process != ended);
        }
    }

    fn holds(&self, process: &Process, condition: &str) -> bool {
        let mut told = self.told.iter();
        let is_told = told.any(|(of, told)| of == process && told.token() == condition);
        if is_told {
            self.was_used.store(true, Ordering::Relaxed);
        }
        is_told
    }
}

/// `after.x`: whether condition `x` was told of the same process.
#[derive(Debug)]
struct After {
    process: Option<Process>,
    preceding: Arc<Preceding>,
}

impl Object for After {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let process = self.process.as_ref();
        let is_told =
            process.is_some_and(|process| self.preceding.holds(process, name.as_str().unwrap_or_default()));
        Some(Value::from(is_told))
    }
}

fn process(entity: &Entity) -> Option<Process> {
    Some((entity.node.clone()?, entity.process.as_ref()?.pid))
}

/// Conditions that expressions ask for with `after`.
pub(super) fn asked_after<'a>(expressions: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let names = expressions.flat_map(|text| {
        text.split("after.").skip(1).map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            rest.get(..end.unwrap_or(rest.len()))
                .unwrap_or_default()
                .to_owned()
        })
    });
    names.collect()
}
