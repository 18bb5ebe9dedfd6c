//! A message of the bus as JSON lines: a batch gives a line an event, anything else a line.
//!
//! MessagePack is read without its schema, so that messages of later versions are shown too: 16 bytes are an id, other
//! bytes text or hexadecimal, and numbers under a name of time are RFC 3339.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::ExitCode;

use bus_client::codec;
use bus_schema::{EventId, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A message that unpacks to more than this is no message of ours.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Why a message cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input or output.
    #[error("cannot read the message")]
    Read(#[source] std::io::Error),
    /// Nobody takes the output.
    #[error("cannot write the JSON")]
    Write(#[source] std::io::Error),
    /// Its compression is damaged, hostile, or that of a later version.
    #[error("cannot uncompress the message")]
    Uncompress(#[source] std::io::Error),
    /// It begins like JSON and is none.
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    /// It is neither JSON nor MessagePack.
    #[error("neither JSON nor MessagePack")]
    MessagePack(#[source] rmp_serde::decode::Error),
}

/// Reads one message from stdin and writes its lines.
pub(crate) fn run() -> Result<ExitCode, crate::Error> {
    let mut bytes = Vec::new();
    let mut stdin = std::io::stdin().lock().take(MOST_BYTES + 1);
    stdin.read_to_end(&mut bytes).map_err(Error::Read)?;
    let mut out = std::io::stdout().lock();
    for line in lines(&bytes)? {
        writeln!(out, "{line}").map_err(Error::Write)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The message as JSON values, one a line. An empty message has none.
pub fn lines(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let bytes = codec::plain(bytes).map_err(Error::Uncompress)?;
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Ok(Vec::new()),
        Some(b'{' | b'[' | b'"') => serde_json::Deserializer::from_slice(&bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(Error::Json),
        Some(_) => message_pack(&bytes),
    }
}

fn message_pack(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut rest = bytes;
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        let View(value) = View::deserialize(&mut deserializer).map_err(Error::MessagePack)?;
        lines.extend(spread(value));
    }
    Ok(lines)
}

/// A batch becomes its events, each with what the envelope says; a heartbeat stays as it is.
fn spread(value: Value) -> Vec<Value> {
    let mut envelope = match value {
        Value::Object(map) => map,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return vec![other];
        }
    };
    let Some(Value::Array(events)) = envelope.remove("events") else {
        return vec![Value::Object(envelope)];
    };
    if events.is_empty() {
        envelope.insert("events".into(), Value::Array(events));
        return vec![Value::Object(envelope)];
    }
    let of = |name: &str| envelope.get(name).cloned().unwrap_or_default();
    let (cluster, node, observer) = (of("cluster"), of("node"), of("observer"));
    let with_origin = |event: Value| match event {
        Value::Object(mut map) => {
            map.insert("cluster".into(), cluster.clone());
            map.insert("node".into(), node.clone());
            map.insert("observer".into(), observer.clone());
            Value::Object(map)
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            other
        }
    };
    events.into_iter().map(with_origin).collect()
}

/// Any MessagePack value as JSON.
struct View(Value);

impl<'de> Deserialize<'de> for View {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ViewVisitor).map(Self)
    }
}

struct ViewVisitor;

impl<'de> Visitor<'de> for ViewVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessagePack")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(bytes_as_text(bytes).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(View(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((View(key), View(value))) = map.next_entry()? {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            let value = time_as_text(&key, value);
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

fn bytes_as_text(bytes: &[u8]) -> String {
    if let Ok(id) = bytes.try_into() {
        return EventId(u128::from_be_bytes(id)).to_string();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// Points in time are named `time`, `observed` or `…_ns`; so are durations, but none of them lasts for decades.
fn time_as_text(key: &str, value: Value) -> Value {
    const YEAR_1980_NS: u64 = 315_532_800_000_000_000;
    let is_time = key == "time" || key == "observed" || key.ends_with("_ns");
    match value.as_u64().filter(|ns| is_time && *ns >= YEAR_1980_NS) {
        Some(ns) => Timestamp(ns).to_string().into(),
        None => value,
    }
}
