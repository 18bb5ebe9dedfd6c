//! What a template or an expression may name: the facts of an episode, and of its cause. Looked up when they are asked for.

use std::sync::Arc;

use bus_schema::episode::{Episode, Fact};
use bus_schema::timestamp::Timestamp;
use minijinja::value::{Object, Value};

/// An effect, and under the name `cause` what may have caused it.
#[derive(Debug)]
pub(super) struct Facts {
    effect: Arc<Episode>,
    cause: Option<Arc<Episode>>,
}

impl Facts {
    pub(super) fn of(effect: &Arc<Episode>) -> Value {
        Self::with_cause(effect, None)
    }

    pub(super) fn with_cause(effect: &Arc<Episode>, cause: Option<&Arc<Episode>>) -> Value {
        Value::from_object(Self {
            effect: Arc::clone(effect),
            cause: cause.cloned(),
        })
    }
}

impl Object for Facts {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let episode = &*self.effect;
        let value = match name.as_str()? {
            "cause" => Self::of(self.cause.as_ref()?),
            "subject" => Value::from(episode.subject.label()),
            "object" => Value::from(
                episode
                    .object
                    .as_ref()
                    .map_or_else(String::new, bus_schema::Entity::label),
            ),
            "kind" => Value::from(episode.subject.identity().kind),
            "namespace" => Value::from(episode.subject.namespace()),
            "count" => Value::from(episode.count),
            "clock" => Value::from(whole_seconds(episode.start_ns)),
            fact => match episode.facts.get(fact)? {
                Fact::Number(number) => Value::from(*number),
                Fact::Text(text) => Value::from(text.as_str()),
            },
        };
        Some(value)
    }
}

fn whole_seconds(time_ns: u64) -> String {
    let clock = Timestamp(time_ns).clock();
    clock.split('.').next().unwrap_or(&clock).to_owned()
}
