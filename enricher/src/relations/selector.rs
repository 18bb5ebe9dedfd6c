//! Which labels a Service or a network policy asks for.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a pod.
pub type Labels = BTreeMap<String, String>;

/// One thing that is asked of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of these values.
    In(String, BTreeSet<String>),
    /// It has none of these values, or is not there.
    NotIn(String, BTreeSet<String>),
    /// It is there.
    Exists(String),
    /// It is not there.
    Absent(String),
}

/// All of these are asked; without any, everything is selected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(pub Vec<Requirement>);

impl Selector {
    /// Labels that have to have these values.
    pub fn equal(labels: &Labels) -> Self {
        let one = |(label, value): (&String, &String)| {
            Requirement::In(label.clone(), BTreeSet::from([value.clone()]))
        };
        Self(labels.iter().map(one).collect())
    }

    /// Whether a pod with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(label, values) => labels.get(label).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(label, values) => {
                labels.get(label).is_none_or(|value| !values.contains(value))
            }
            Requirement::Exists(label) => labels.contains_key(label),
            Requirement::Absent(label) => !labels.contains_key(label),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = |(label, value): &(&str, &str)| ((*label).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn everything_that_is_asked_has_to_hold() {
        let both = Selector::equal(&labels(&[("app", "redis"), ("tier", "cache")]));
        assert!(both.matches(&labels(&[("app", "redis"), ("tier", "cache"), ("more", "x")])));
        assert!(!both.matches(&labels(&[("app", "redis")])));
        assert!(!both.matches(&labels(&[("app", "redis"), ("tier", "web")])));
        assert!(Selector::default().matches(&Labels::new()), "nothing is asked");
    }

    #[test]
    fn what_is_not_there_has_no_value() {
        let one = |requirement| Selector(vec![requirement]);
        let values = || BTreeSet::from(["a".to_owned()]);
        let (absent, other) = (Labels::new(), labels(&[("x", "b")]));
        for (selector, without, with) in [
            (one(Requirement::In("x".into(), values())), false, false),
            (one(Requirement::NotIn("x".into(), values())), true, true),
            (one(Requirement::Exists("x".into())), false, true),
            (one(Requirement::Absent("x".into())), true, false),
        ] {
            assert_eq!(selector.matches(&absent), without, "{selector:?}");
            assert_eq!(selector.matches(&other), with, "{selector:?}");
        }
    }
}
