//! Quotas, limit ranges and disruption budgets: each bound by its name.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, items, text};
use super::super::index::Reach;
use super::super::object::Object;
use super::super::selector::{self, Selector};
use super::Content;

/// A `ResourceQuota`.
pub(super) fn quota(object: &Object) -> Content {
    let mut content = Content {
        reach: Reach::Namespace,
        ..Content::default()
    };
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "hard" => content.entries.flatten(Aspect::Bounds, "", "", value),
            _ => content.entries.hide(Aspect::Other, "", field, value),
        }
    }
    content
}

/// A `LimitRange`; its bounds are called `Container.max.memory`.
pub(super) fn limit_range(object: &Object) -> Content {
    let mut content = Content {
        reach: Reach::Namespace,
        ..Content::default()
    };
    for limit in object.spec.get("limits").into_iter().flat_map(items) {
        let of = text(limit, "type");
        for (field, value) in fields(limit).filter(|(field, _)| *field != "type") {
            content
                .entries
                .flatten(Aspect::Bounds, "", &format!("{of}.{field}"), value);
        }
    }
    content
}

/// A `PodDisruptionBudget`.
pub(super) fn disruption_budget(object: &Object) -> Content {
    let selected: Option<&Value> = object.spec.get("selector");
    let mut content = Content {
        reach: Reach::Selected(Selector::of(selected)),
        ..Content::default()
    };
    selector::entries(&mut content.entries, selected);
    for (field, value) in fields(&object.spec).filter(|(field, _)| *field != "selector") {
        content.entries.flatten(Aspect::Bounds, "", field, value);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::super::tests::differences;

    #[test]
    fn each_bound_is_told_with_both_values() {
        assert_eq!(
            differences(
                "ResourceQuota",
                r#"{"hard": {"pods": "10", "requests.cpu": "2"}}"#,
                r#"{"hard": {"pods": "1", "limits.memory": "1Gi"}}"#
            ),
            [
                "Bounds  limits.memory: - -> 1Gi",
                "Bounds  pods: 10 -> 1",
                "Bounds  requests.cpu: 2 -> -"
            ]
        );
        assert_eq!(
            differences(
                "LimitRange",
                r#"{"limits": [{"type": "Container", "default": {"memory": "64Mi"}, "max": {"cpu": "1"}}]}"#,
                r#"{"limits": [{"type": "Container", "default": {"memory": "16Mi"}, "max": {"cpu": "1"}}]}"#
            ),
            ["Bounds  Container.default.memory: 64Mi -> 16Mi"]
        );
        assert_eq!(
            differences(
                "PodDisruptionBudget",
                r#"{"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}"#,
                r#"{"maxUnavailable": "0%", "selector": {"matchLabels": {"app": "api"}}}"#
            ),
            [
                "Selector  app: web -> api",
                "Bounds  maxUnavailable: - -> 0%",
                "Bounds  minAvailable: 1 -> -"
            ]
        );
    }
}
