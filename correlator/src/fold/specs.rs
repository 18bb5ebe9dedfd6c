//! A changed spec as conditions: one for each aspect that matters in another way.

use std::collections::BTreeMap;

use bus_schema::Severity;
use bus_schema::episode::Fact;
use bus_schema::event::Event;
use bus_schema::event::kubernetes::{Aspect, Difference, SpecChanged};

use super::sighting::{Facts, Sighting, text};
use crate::condition::Condition;

/// Differences that a sentence names.
const NAMED: usize = 3;
/// Name of the entry whose value bounds a container's memory.
const MEMORY_LIMIT: &str = "limits.memory";

/// What `event` says of its subject, one for each condition.
pub(super) fn sightings(event: &Event, change: &SpecChanged) -> Vec<Sighting> {
    let mut by_condition: BTreeMap<Condition, Vec<&Difference>> = BTreeMap::new();
    for difference in &change.differences {
        if let Some(condition) = condition(difference.aspect) {
            by_condition.entry(condition).or_default().push(difference);
        }
    }
    let sighting = |(condition, differences): (Condition, Vec<&Difference>)| {
        let facts = facts(&differences, change);
        Sighting::new(
            condition,
            Severity::Notice,
            event,
            event.subject.clone(),
            None,
            facts,
        )
    };
    by_condition.into_iter().map(sighting).collect()
}

/// Nothing that happens begins with how pods are to be replaced.
fn condition(aspect: Aspect) -> Option<Condition> {
    match aspect {
        Aspect::Replicas => Some(Condition::ReplicasChanged),
        Aspect::Resources => Some(Condition::ResourcesChanged),
        Aspect::Environment => Some(Condition::EnvironmentChanged),
        Aspect::Command => Some(Condition::CommandChanged),
        Aspect::Ports | Aspect::Probes | Aspect::Volumes | Aspect::Scheduling | Aspect::Other => {
            Some(Condition::SpecChanged)
        }
        Aspect::Rollout
        | Aspect::Data
        | Aspect::Selector
        | Aspect::ServicePorts
        | Aspect::Routes
        | Aspect::Traffic
        | Aspect::Bounds
        | Aspect::Storage
        | Aspect::Schedule => None,
    }
}

fn facts(differences: &[&Difference], change: &SpecChanged) -> Facts {
    let mut facts = Facts::from([
        ("difference".to_owned(), Fact::Text(sentence(differences))),
        ("manager".to_owned(), text(&change.manager)),
    ]);
    if change.rollback {
        facts.insert("rollback".into(), text("true"));
    }
    if let [only] = differences {
        for (name, value) in [("old", &only.old), ("new", &only.new)] {
            let value = value.as_deref().unwrap_or_default();
            let fact = value.parse().map_or_else(|_| text(value), Fact::Number);
            facts.insert(name.into(), fact);
        }
    }
    let lowered = |difference: &&&Difference| difference.name == MEMORY_LIMIT && is_less(difference);
    let limit = differences.iter().find(lowered);
    if let Some(limit) = limit.and_then(|difference| difference.new.as_deref()) {
        facts.insert("lowered_memory_limit".into(), text(limit));
    }
    facts
}

/// Whether there is a bound where there was a higher one, or none.
fn is_less(difference: &Difference) -> bool {
    let number = |value: &Option<String>| value.as_deref().and_then(quantity);
    match (number(&difference.old), number(&difference.new)) {
        (old, Some(new)) => old.is_none_or(|old| new < old),
        (_, None) => false,
    }
}

/// A quantity of the Kubernetes API: digits with a binary, decimal or exponential suffix.
fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let of_suffix =
        |(suffix, factor): (&str, f64)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor);
    text.parse()
        .ok()
        .or_else(|| SUFFIXES.into_iter().find_map(of_suffix))
}

/// `limits.memory 128Mi to 12Mi`, `URL`, `KEY added`; at most [`NAMED`] of them.
fn sentence(differences: &[&Difference]) -> String {
    let mut parts: Vec<String> = differences
        .iter()
        .take(NAMED)
        .map(|difference| phrase(difference))
        .collect();
    if differences.len() > NAMED {
        parts.push(format!("{} more", differences.len() - NAMED));
    }
    parts.join(", ")
}

fn phrase(difference: &Difference) -> String {
    let phrase = match (&difference.old, &difference.new) {
        (None, _) => format!("{} added", difference.name),
        (_, None) => format!("{} removed", difference.name),
        (Some(old), Some(new)) if old.is_empty() && new.is_empty() => difference.name.clone(),
        (Some(old), Some(new)) => format!("{} {old} to {new}", difference.name),
    };
    phrase.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use bus_schema::event::Body;
    use bus_schema::{Entity, EventId};

    use super::*;

    fn difference(aspect: Aspect, name: &str, old: Option<&str>, new: Option<&str>) -> Difference {
        Difference {
            aspect,
            container: "c".into(),
            name: name.into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
        }
    }

    fn of(differences: Vec<Difference>) -> Vec<Sighting> {
        let change = SpecChanged {
            differences,
            manager: "kubectl-set".into(),
            ..SpecChanged::default()
        };
        let event = Event {
            id: EventId(1),
            time_ns: 5,
            observed_ns: 5,
            severity: Severity::Notice,
            subject: Entity::default(),
            object: None,
            count: 1,
            window_ns: 0,
            trace: None,
            body: Body::SpecChanged(change.clone()),
        };
        sightings(&event, &change)
    }

    #[test]
    fn one_change_of_two_aspects_is_two_conditions() {
        let all = of(vec![
            difference(Aspect::Replicas, "", Some("2"), Some("0")),
            difference(Aspect::Resources, "limits.memory", Some("128Mi"), Some("12Mi")),
            difference(Aspect::Resources, "limits.cpu", None, Some("1")),
            difference(Aspect::Rollout, "strategy", Some(""), Some("")),
        ]);
        let told: Vec<_> = all
            .iter()
            .map(|sighting| (sighting.condition, &sighting.facts))
            .collect();
        assert_eq!(told[0].0, Condition::ReplicasChanged);
        assert_eq!(told[0].1["new"], Fact::Number(0.0));
        assert_eq!(told[0].1["difference"], text("2 to 0"));
        assert_eq!(told[1].0, Condition::ResourcesChanged);
        assert_eq!(
            told[1].1["difference"],
            text("limits.memory 128Mi to 12Mi, limits.cpu added")
        );
        assert_eq!(told[1].1["lowered_memory_limit"], text("12Mi"));
        assert!(!told[1].1.contains_key("new"), "there are two");
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn many_differences_are_counted_and_what_is_not_told_has_its_name() {
        let all = of(["A", "B", "C", "D"]
            .map(|name| difference(Aspect::Environment, name, Some(""), Some("")))
            .into());
        assert_eq!(all[0].condition, Condition::EnvironmentChanged);
        assert_eq!(all[0].facts["difference"], text("A, B, C, 1 more"));
        assert!(!all[0].facts.contains_key("lowered_memory_limit"));
    }

    #[test]
    fn a_limit_is_lowered_whatever_its_unit_and_not_when_it_is_raised_or_taken_away() {
        let lowers = |old, new| {
            let all = of(vec![difference(Aspect::Resources, "limits.memory", old, new)]);
            all[0].facts.contains_key("lowered_memory_limit")
        };
        assert!(lowers(Some("1Gi"), Some("512Mi")) && lowers(Some("1G"), Some("900000k")));
        assert!(lowers(None, Some("12Mi")), "there was none");
        assert!(lowers(Some("1e9"), Some("67108864")));
        assert!(!lowers(Some("12Mi"), Some("128Mi")) && !lowers(Some("128Mi"), None));
        assert!(!lowers(Some("128Mi"), Some("much")));
    }
}
