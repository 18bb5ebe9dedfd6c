//! Reading and writing an event as a named map whose `kind` precedes its `body`.

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Body, Event, Kind, Trace};
use crate::entity::Entity;
use crate::id::EventId;
use crate::severity::Severity;

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional = [self.object.is_some(), self.count != 1, self.window_ns != 0];
        let fields =
            7 + optional.iter().filter(|present| **present).count() + 2 * usize::from(self.trace.is_some());
        let mut map = serializer.serialize_map(Some(fields))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("time", &self.time_ns)?;
        map.serialize_entry("observed", &self.observed_ns)?;
        map.serialize_entry("kind", self.kind().token())?;
        map.serialize_entry("severity", &self.severity)?;
        map.serialize_entry("subject", &self.subject)?;
        if let Some(object) = &self.object {
            map.serialize_entry("object", object)?;
        }
        if self.count != 1 {
            map.serialize_entry("count", &self.count)?;
        }
        if self.window_ns != 0 {
            map.serialize_entry("window_ns", &self.window_ns)?;
        }
        if let Some(trace) = &self.trace {
            map.serialize_entry("trace_id", &format_args!("{:032x}", trace.trace_id).to_string())?;
            map.serialize_entry("span_id", &format_args!("{:016x}", trace.span_id).to_string())?;
        }
        map.serialize_entry("body", &self.body)?;
        map.end()
    }
}

/// An event of this version, or the name of a kind that only a later version knows.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the small variant is the rare one")]
pub enum Decoded {
    /// Understood.
    Event(Event),
    /// Skipped.
    UnknownKind(String),
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

/// What was read so far.
#[derive(Default)]
struct Partial {
    id: Option<EventId>,
    time_ns: Option<u64>,
    observed_ns: Option<u64>,
    severity: Severity,
    subject: Entity,
    object: Option<Entity>,
    count: Option<u64>,
    window_ns: u64,
    trace_id: Option<u128>,
    span_id: Option<u64>,
    kind: Option<Result<Kind, String>>,
    body: Option<Body>,
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Decoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: a map with `kind` before `body`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Decoded, A::Error> {
        let mut partial = Partial::default();
        while let Some(field) = map.next_key::<Field>()? {
            partial.read(field, &mut map)?;
        }
        partial.finish()
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Id,
    Time,
    Observed,
    Kind,
    Severity,
    Subject,
    Object,
    Count,
    WindowNs,
    TraceId,
    SpanId,
    Body,
    #[serde(other)]
    Added,
}

impl Partial {
    fn read<'de, A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        match field {
            Field::Id => self.id = Some(map.next_value()?),
            Field::Time => self.time_ns = Some(map.next_value()?),
            Field::Observed => self.observed_ns = Some(map.next_value()?),
            Field::Severity => self.severity = map.next_value()?,
            Field::Subject => self.subject = map.next_value()?,
            Field::Object => self.object = map.next_value()?,
            Field::Count => self.count = Some(map.next_value()?),
            Field::WindowNs => self.window_ns = map.next_value()?,
            Field::TraceId => self.trace_id = Some(hexadecimal(&map.next_value::<String>()?)?),
            Field::SpanId => self.span_id = Some(hexadecimal(&map.next_value::<String>()?)?),
            Field::Kind => self.kind = Some(map.next_value::<Token>()?.0),
            Field::Body => self.read_body(map)?,
            Field::Added => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    fn read_body<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        match &self.kind {
            Some(Ok(kind)) => self.body = Some(map.next_value_seed(*kind)?),
            Some(Err(_)) => drop(map.next_value::<IgnoredAny>()?),
            None => return Err(de::Error::custom("`body` stands before `kind`")),
        }
        Ok(())
    }

    fn finish<E: de::Error>(self) -> Result<Decoded, E> {
        if let Some(Err(token)) = self.kind {
            return Ok(Decoded::UnknownKind(token));
        }
        let time_ns = self.time_ns.ok_or_else(|| E::missing_field("time"))?;
        let trace = self.trace_id.map(|trace_id| Trace {
            trace_id,
            span_id: self.span_id.unwrap_or_default(),
        });
        Ok(Decoded::Event(Event {
            id: self.id.ok_or_else(|| E::missing_field("id"))?,
            time_ns,
            observed_ns: self.observed_ns.unwrap_or(time_ns),
            severity: self.severity,
            subject: self.subject,
            object: self.object,
            count: self.count.unwrap_or(1),
            window_ns: self.window_ns,
            trace,
            body: self.body.ok_or_else(|| E::missing_field("body"))?,
        }))
    }
}

/// A kind, or its token where only a later version knows it.
struct Token(Result<Kind, String>);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Token;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the token of a kind")
            }
            fn visit_str<E: de::Error>(self, token: &str) -> Result<Token, E> {
                Ok(Token(Kind::parse(token).ok_or_else(|| token.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn hexadecimal<T: TryFrom<u128>, E: de::Error>(text: &str) -> Result<T, E> {
    let value = u128::from_str_radix(text, 16).map_err(E::custom)?;
    T::try_from(value).map_err(|_| E::custom("trace or span id is too long"))
}
