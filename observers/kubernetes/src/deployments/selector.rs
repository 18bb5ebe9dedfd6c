//! Which labels belong to an object: a plain set of labels, or Kubernetes' selectors with expressions.

use std::collections::BTreeMap;

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::entries::{Entries, fields, items_of, scalar, text};

/// Labels of a pod template.
pub(super) type Labels = BTreeMap<Box<str>, Box<str>>;

/// The labels of a template's or a selector's JSON.
pub(super) fn labels(of: &Value) -> Labels {
    fields(of)
        .map(|(key, value)| (key.as_str().into(), scalar(value).into()))
        .collect()
}

/// What labels must be like. Without any requirement all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector(Option<Vec<Requirement>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: Box<str>,
    is: Is,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    In(Vec<Box<str>>),
    NotIn(Vec<Box<str>>),
    There,
    Absent,
    /// An operator that is not known: it is not said that anything matches.
    Unknown,
}

impl Selector {
    /// Of a Service, which selects nothing where it names no label.
    pub(super) fn of_labels(selector: &Value) -> Self {
        let required: Vec<_> = fields(selector)
            .map(|(key, value)| Requirement::equal(key, value))
            .collect();
        Self((!required.is_empty()).then_some(required))
    }

    /// A `LabelSelector`; without one nothing is selected, by an empty one everything.
    pub(super) fn of(selector: Option<&Value>) -> Self {
        let Some(selector) = selector.filter(|selector| selector.is_object()) else {
            return Self(None);
        };
        let equal = selector.get("matchLabels").into_iter().flat_map(fields);
        let equal = equal.map(|(key, value)| Requirement::equal(key, value));
        let expressions = items_of(selector, "matchExpressions").map(Requirement::of);
        Self(Some(equal.chain(expressions).collect()))
    }

    /// Whether it selects what has these labels.
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.0
            .as_ref()
            .is_some_and(|required| required.iter().all(|requirement| requirement.is_met(labels)))
    }
}

impl Requirement {
    fn equal(key: &str, value: &Value) -> Self {
        Self {
            key: key.into(),
            is: Is::In(vec![scalar(value).into()]),
        }
    }

    fn of(expression: &Value) -> Self {
        let values = || {
            items_of(expression, "values")
                .map(|value| scalar(value).into())
                .collect()
        };
        Self {
            key: text(expression, "key").into(),
            is: match text(expression, "operator") {
                "In" => Is::In(values()),
                "NotIn" => Is::NotIn(values()),
                "Exists" => Is::There,
                "DoesNotExist" => Is::Absent,
                _ => Is::Unknown,
            },
        }
    }

    fn is_met(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.is {
            Is::In(values) => value.is_some_and(|value| values.contains(value)),
            Is::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Is::There => value.is_some(),
            Is::Absent => value.is_none(),
            Is::Unknown => false,
        }
    }
}

/// The entries of a `LabelSelector`, by label.
pub(super) fn entries(into: &mut Entries, selector: Option<&Value>) {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else {
        return;
    };
    for (key, value) in selector.get("matchLabels").into_iter().flat_map(fields) {
        into.tell(Aspect::Selector, key, scalar(value));
    }
    for expression in items_of(selector, "matchExpressions") {
        let key = text(expression, "key");
        into.tell(Aspect::Selector, &format!("{key} (expression)"), said(expression));
    }
}

/// A `LabelSelector` in one line: `app=web, tier In (a, b)`; `all` where it is empty.
pub(super) fn sentence(selector: &Value) -> String {
    let equal = selector.get("matchLabels").into_iter().flat_map(fields);
    let equal = equal.map(|(key, value)| format!("{key}={}", scalar(value)));
    let expressions = items_of(selector, "matchExpressions")
        .map(|expression| format!("{} {}", text(expression, "key"), said(expression)));
    let parts: Vec<_> = equal.chain(expressions).collect();
    if parts.is_empty() {
        "all".to_owned()
    } else {
        parts.join(", ")
    }
}

fn said(expression: &Value) -> String {
    let values: Vec<_> = items_of(expression, "values").map(scalar).collect();
    let operator = text(expression, "operator");
    if values.is_empty() {
        operator.to_owned()
    } else {
        format!("{operator} ({})", values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn labels_are_matched_as_the_api_server_does() {
        let web = labels(&json(r#"{"app": "web", "tier": "front"}"#));
        let matches = |selector: &str| Selector::of(Some(&json(selector))).matches(&web);
        assert!(matches("{}"), "an empty one selects all");
        assert!(matches(r#"{"matchLabels": {"app": "web"}}"#));
        assert!(!matches(r#"{"matchLabels": {"app": "web", "tier": "back"}}"#));
        let expression = |operator: &str, key: &str, values: &str| {
            matches(&format!(
                r#"{{"matchExpressions": [{{"key": "{key}", "operator": "{operator}", "values": {values}}}]}}"#
            ))
        };
        assert!(expression("In", "app", r#"["api", "web"]"#));
        assert!(!expression("NotIn", "app", r#"["api", "web"]"#));
        assert!(expression("NotIn", "zone", r#"["a"]"#));
        assert!(expression("Exists", "tier", "[]"));
        assert!(!expression("DoesNotExist", "tier", "[]"));
        assert!(!expression("Like", "tier", "[]"), "not known");
        assert!(!Selector::of(None).matches(&web), "none selects nothing");
    }

    #[test]
    fn a_service_without_labels_selects_nothing() {
        let web = labels(&json(r#"{"app": "web"}"#));
        assert!(!Selector::of_labels(&json("{}")).matches(&web));
        assert!(!Selector::of_labels(&Value::Null).matches(&web));
        assert!(Selector::of_labels(&json(r#"{"app": "web"}"#)).matches(&web));
        assert!(!Selector::of_labels(&json(r#"{"app": "wbe"}"#)).matches(&web));
    }

    #[test]
    fn a_selector_is_said_in_one_line() {
        let selector = json(
            r#"{"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}"#,
        );
        assert_eq!(sentence(&selector), "app=web, tier In (a, b)");
        assert_eq!(sentence(&json("{}")), "all");
    }
}
