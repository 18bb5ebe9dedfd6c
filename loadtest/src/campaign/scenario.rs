//! One fault or control as its file tells it: what is done, how it is witnessed, and what is true about it.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Whether somebody breaks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something breaks, and an incident has to tell it.
    Fault,
    /// Nothing breaks, and no incident may be told.
    Control,
}

impl Kind {
    /// Folder of its files.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Fault => "faults",
            Self::Control => "controls",
        }
    }
}

/// A file of `faults/` or `controls/`. The snippets are bash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of its file.
    #[serde(skip)]
    pub name: String,
    /// What happens, in one line.
    pub summary: String,
    /// What has to be so before; empty when nothing has.
    #[serde(default)]
    pub setup: String,
    /// What is done.
    pub inject: String,
    /// Succeeds once the effect is there. It never asks Tapio.
    pub witness: String,
    /// Takes it back; empty when it passes by itself.
    #[serde(default)]
    pub undo: String,
    /// How long it is left alone after `inject`, in seconds.
    pub holds_seconds: u64,
    /// What is true; one entry for each independent fault, none for a control.
    #[serde(default, deserialize_with = "one_or_many")]
    pub truth: Vec<Truth>,
}

/// What an explanation has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Where it began, and what happened there.
    pub root: Root,
    /// What followed, the root included, in order.
    #[serde(default)]
    pub chain: Vec<Link>,
    /// Workloads that suffer.
    #[serde(default)]
    pub affected: Vec<String>,
    /// Workloads that must not be named as the root.
    #[serde(default)]
    pub blameless: Vec<String>,
    /// What would heal; absent where no command does.
    pub advice: Option<Advice>,
    /// Whether one of the present observers sees the cause.
    pub observed: bool,
}

/// The root cause.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Kind of the workload.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Conditions of which any tells rightly what happened.
    pub conditions: Vec<String>,
}

/// One step of the chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Conditions of which any tells it.
    pub conditions: Vec<String>,
    /// Name of the workload.
    pub name: String,
}

/// Advice that would heal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// Action and command together contain all of these.
    pub contains: Vec<String>,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Truth>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

/// Two faults at once have a list; one needs none. By hand, so that an error names the field that is wrong.
struct OneOrMany;

impl<'de> de::Visitor<'de> for OneOrMany {
    type Value = Vec<Truth>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a truth or a list of truths")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![Truth::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq))
    }
}

impl Scenario {
    /// Reads the text of one file.
    ///
    /// # Errors
    /// When a field is missing, unknown or empty, or a fault has no truth, or a control has one.
    pub fn parse(name: &str, kind: Kind, text: &str) -> Result<Self> {
        let mut scenario: Self = serde_saphyr::from_str(text)?;
        name.clone_into(&mut scenario.name);
        if kind == Kind::Fault && scenario.truth.is_empty() {
            bail!("a fault needs a truth");
        }
        if kind == Kind::Control && !scenario.truth.is_empty() {
            bail!("a control has no truth: nothing is broken");
        }
        if scenario
            .truth
            .iter()
            .any(|truth| truth.root.conditions.is_empty())
        {
            bail!("truth.root.conditions is empty: nothing could be right");
        }
        Ok(scenario)
    }

    /// Only what is true; nothing that could be played.
    pub fn of_truth(name: &str, truth: Vec<Truth>) -> Self {
        Self {
            name: name.to_owned(),
            summary: String::new(),
            setup: String::new(),
            inject: String::new(),
            witness: String::new(),
            undo: String::new(),
            holds_seconds: 0,
            truth,
        }
    }

    /// Every scenario of a kind below `folder`, by name.
    ///
    /// # Errors
    /// When a file cannot be read or is not right; the error names it.
    pub fn all(folder: &Path, kind: Kind) -> Result<Vec<Self>> {
        let folder = folder.join(kind.folder());
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut scenarios = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let scenario = Self::parse(&name, kind, &text);
            scenarios.push(scenario.with_context(|| format!("{} is not right", path.display()))?);
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scenarios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "{summary: s, inject: 'true', witness: 'true', holds_seconds: 1}";
    const TRUTH: &str = "{root: {kind: Deployment, namespace: n, name: a, conditions: [c]}, observed: true}";

    fn fault(truth: &str) -> String {
        format!("{{summary: s, inject: 'true', witness: 'true', holds_seconds: 1, truth: {truth}}}")
    }

    #[test]
    fn every_file_of_the_campaign_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/lab");
        assert!(Scenario::all(&folder, Kind::Fault).unwrap().len() >= 14);
        assert!(Scenario::all(&folder, Kind::Control).unwrap().len() >= 8);
    }

    #[test]
    fn one_truth_or_several() {
        let one = Scenario::parse("f", Kind::Fault, &fault(TRUTH)).unwrap();
        let two = Scenario::parse("f", Kind::Fault, &fault(&format!("[{TRUTH}, {TRUTH}]"))).unwrap();
        assert_eq!((one.truth.len(), two.truth.len(), one.name.as_str()), (1, 2, "f"));
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_name() {
        let unknown = TRUTH.replace("observed", "observd");
        let error = format!(
            "{:#}",
            Scenario::parse("f", Kind::Fault, &fault(&unknown)).unwrap_err()
        );
        assert!(error.contains("observd"), "{error}");
        let unknown = CONTROL.replace("witness", "wittness");
        let error = format!("{:#}", Scenario::parse("c", Kind::Control, &unknown).unwrap_err());
        assert!(error.contains("wittness"), "{error}");
    }

    #[test]
    fn a_fault_has_a_truth_and_a_control_has_none() {
        assert!(Scenario::parse("c", Kind::Control, CONTROL).is_ok());
        assert!(Scenario::parse("c", Kind::Fault, CONTROL).is_err());
        assert!(Scenario::parse("c", Kind::Control, &fault(TRUTH)).is_err());
    }
}
