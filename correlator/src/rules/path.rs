//! How the entities of cause and effect must be related: a path through the entity graph, from the effect to the cause.
//!
//! `effect = cause` is the same entity, `effect =process= cause` the same process. Otherwise each arrow is a relation, with its
//! direction, and a point is whatever stands between: `effect -calls-> . -mounts-> cause`.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// Who calls whom, by traffic.
pub(crate) const CALLS: &str = "calls";
/// Over whose calls what is exchanged is seen: requests and their answers, not connections alone.
pub(crate) const EXCHANGES: &str = "exchanges";
/// What runs on which node.
pub(crate) const RUNS_ON: &str = "runs_on";
/// What a condition itself names as its object.
pub(crate) const NAMES: &str = "names";

/// A path of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// Cause and effect are on the same entity.
    Same,
    /// On the same process.
    Process,
    /// One relation after the other, beginning at the effect.
    Hops(Vec<Hop>),
}

/// One relation of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its name.
    pub relation: String,
    /// Whether what stands nearer to the effect is where the relation begins.
    pub forward: bool,
}

impl Path {
    /// Reads the notation of a rule; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        if words.next()? != "effect" {
            return None;
        }
        let mut hops = Vec::new();
        loop {
            match words.next()? {
                "=" => return (hops.is_empty() && words.eq(["cause"])).then_some(Self::Same),
                "=process=" => return (hops.is_empty() && words.eq(["cause"])).then_some(Self::Process),
                arrow => hops.push(Hop::parse(arrow)?),
            }
            match words.next()? {
                "." => {}
                "cause" => return words.next().is_none().then_some(Self::Hops(hops)),
                _ => return None,
            }
        }
    }

    /// Its relations.
    pub fn hops(&self) -> &[Hop] {
        match self {
            Self::Hops(hops) => hops,
            Self::Same | Self::Process => &[],
        }
    }

    /// Whether the effect's entity called the cause's.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self.hops(), [hop] if hop.forward && hop.relation == CALLS)
    }
}

impl Hop {
    fn parse(arrow: &str) -> Option<Self> {
        let forward = arrow.strip_prefix('-').and_then(|rest| rest.strip_suffix("->"));
        let backward = arrow.strip_prefix("<-").and_then(|rest| rest.strip_suffix('-'));
        let relation = forward.or(backward)?;
        let is_name = !relation.is_empty()
            && relation
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_name.then(|| Self {
            relation: relation.to_owned(),
            forward: forward.is_some(),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("effect = cause"),
            Self::Process => f.write_str("effect =process= cause"),
            Self::Hops(hops) => {
                f.write_str("effect ")?;
                for (place, hop) in hops.iter().enumerate() {
                    let between = if place == 0 { "" } else { ". " };
                    let Hop { relation, forward } = hop;
                    if *forward {
                        write!(f, "{between}-{relation}-> ")?;
                    } else {
                        write!(f, "{between}<-{relation}- ")?;
                    }
                }
                f.write_str("cause")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{text:?} is no path; one is `effect = cause` or `effect -calls-> . <-selects- cause`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written() {
        for text in [
            "effect = cause",
            "effect =process= cause",
            "effect -calls-> cause",
            "effect -calls-> . <-selects- cause",
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "effect",
            "effect cause",
            "cause = effect",
            "effect -calls-> .",
            "effect -calls- cause",
            "effect <-calls-> cause",
            "effect --> cause",
            "effect -calls-> = cause",
            "effect = cause again",
        ] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
