//! Identifiers that are the same whenever the same fact is written again, so that redelivery never doubles.
//!
//! All are 128 bits wide, ordered by time (the layout of a ULID: 48 bits of milliseconds, then 80 bits) and shown
//! as 26 characters of Crockford base 32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_LENGTH: usize = 26;

/// Identity of one event: event time, then a hash of its producer, then the producer's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub u128);

/// A text that is no identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an identifier of 26 base-32 characters: {0:?}")]
pub struct ParseError(String);

impl EventId {
    /// Identity of event number `sequence` of the producer `node`/`boot`/`observer`, which happened at `time_ns`.
    pub fn of_event(time_ns: u64, node: &str, boot: &str, observer: &str, sequence: u64) -> Self {
        let producer = fnv64(&[node, boot, observer]) & 0xff_ffff_ffff;
        Self::compose(
            time_ns,
            (u128::from(producer) << 40) | u128::from(sequence & 0xff_ffff_ffff),
        )
    }

    /// Identity of something named by `parts` that began at `time_ns`, such as an episode or an incident.
    pub fn of_parts(time_ns: u64, parts: &[&str]) -> Self {
        let low = fnv64(parts);
        let high = fnv64(&[&parts.concat(), "tapio"]) & 0xffff;
        Self::compose(time_ns, (u128::from(high) << 64) | u128::from(low))
    }

    fn compose(time_ns: u64, low80: u128) -> Self {
        let millis = u128::from(time_ns / 1_000_000) & 0xffff_ffff_ffff;
        Self((millis << 80) | low80)
    }
}

/// FNV-1a over the parts, a zero byte after each, so that ("ab","c") differs from ("a","bc").
pub(crate) fn fnv64(parts: &[&str]) -> u64 {
    let bytes = parts
        .iter()
        .flat_map(|part| part.bytes().chain(std::iter::once(0)));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..TEXT_LENGTH).rev() {
            let digit = (self.0 >> (place * 5)) & 31;
            let symbol = ALPHABET
                .get(usize::try_from(digit).unwrap_or(0))
                .copied()
                .unwrap_or(b'0');
            write!(f, "{}", char::from(symbol))?;
        }
        Ok(())
    }
}

impl FromStr for EventId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError(text.to_owned());
        if text.len() != TEXT_LENGTH || !text.starts_with(|first: char| ('0'..='7').contains(&first)) {
            return Err(wrong());
        }
        let digit = |byte: u8| {
            ALPHABET
                .iter()
                .position(|symbol| *symbol == byte.to_ascii_uppercase())
        };
        text.bytes()
            .try_fold(0_u128, |value, byte| Some((value << 5) | digit(byte)? as u128))
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0.to_be_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom);
        }
        deserializer.deserialize_bytes(Bytes16)
    }
}

struct Bytes16;

impl de::Visitor<'_> for Bytes16 {
    type Value = EventId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("16 bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<EventId, E> {
        let array: [u8; 16] = bytes
            .try_into()
            .map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(EventId(u128::from_be_bytes(array)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fact_has_the_same_id_and_its_neighbours_do_not() {
        let id = |node, boot, sequence| {
            EventId::of_event(1_700_000_000_000_000_000, node, boot, "memory", sequence)
        };
        assert_eq!(id("a", "b", 7), id("a", "b", 7));
        assert_ne!(id("a", "b", 7), id("a", "b", 8));
        assert_ne!(id("ab", "", 7), id("a", "b", 7));
    }

    #[test]
    fn text_and_value_are_the_same_thing_and_sort_by_time() {
        let early = EventId::of_event(1_700_000_000_000_000_000, "n", "b", "o", 9);
        let late = EventId::of_event(1_700_000_001_000_000_000, "n", "b", "o", 1);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for wrong in [
            "",
            "0",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000U",
        ] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }
}
