//! Horizontal pod autoscalers: their bounds, what they measure, and what they scale.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, items, scalar, scalar_of, text};
use super::super::index::Reach;
use super::super::object::Object;
use super::Content;

/// A `HorizontalPodAutoscaler` of `autoscaling/v2`.
pub(super) fn read(object: &Object) -> Content {
    let target = object.spec.get("scaleTargetRef").unwrap_or(&Value::Null);
    let (kind, name) = (text(target, "kind"), text(target, "name"));
    let status = object.status.as_ref();
    let mut content = Content {
        reach: Reach::Scaled {
            kind: kind.into(),
            name: name.into(),
            wanted: status.and_then(|status| status.desired_replicas),
        },
        ..Content::default()
    };
    let entries = &mut content.entries;
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "scaleTargetRef" => {
                entries.tell_of(Aspect::Bounds, "", "target", format!("{kind}/{name}"), value);
            }
            "metrics" => {
                for metric in items(value) {
                    let (name, target) = measured(metric);
                    entries.tell_of(Aspect::Bounds, "", &name, target, metric);
                }
            }
            _ => entries.flatten(Aspect::Bounds, "", field, value),
        }
    }
    content
}

/// Name and target of a metric: `metric.Resource.cpu` and `averageUtilization 80`.
fn measured(metric: &Value) -> (String, String) {
    let of = text(metric, "type");
    let source = fields(metric)
        .find(|(_, value)| value.is_object())
        .map_or(&Value::Null, |(_, value)| value);
    let named = source.pointer("/metric/name").map(scalar);
    let name = named.unwrap_or_else(|| scalar_of(source, "name"));
    let target = source.get("target").into_iter().flat_map(fields);
    let target = target.filter(|(field, _)| *field != "type");
    let target: Vec<_> = target
        .map(|(field, value)| format!("{field} {}", scalar(value)))
        .collect();
    (format!("metric.{of}.{name}"), target.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, differences};
    use super::*;

    #[test]
    fn bounds_and_metrics_are_told() {
        let spec = |most: u32, use_of_cpu: u32| {
            format!(
                r#"{{"scaleTargetRef": {{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}, "minReplicas": 1, "maxReplicas": {most},
                    "metrics": [{{"type": "Resource", "resource": {{"name": "cpu", "target": {{"type": "Utilization", "averageUtilization": {use_of_cpu}}}}}}},
                        {{"type": "Pods", "pods": {{"metric": {{"name": "queue"}}, "target": {{"type": "AverageValue", "averageValue": "30"}}}}}}]}}"#
            )
        };
        assert_eq!(
            differences("HorizontalPodAutoscaler", &spec(5, 80), &spec(2, 50)),
            [
                "Bounds  maxReplicas: 5 -> 2",
                "Bounds  metric.Resource.cpu: averageUtilization 80 -> averageUtilization 50"
            ]
        );
        let json = format!(
            r#"{{"spec": {}, "status": {{"desiredReplicas": 3}}}}"#,
            spec(5, 80)
        );
        let expected = Reach::Scaled {
            kind: "Deployment".into(),
            name: "web".into(),
            wanted: Some(3),
        };
        assert_eq!(content("HorizontalPodAutoscaler", &json).reach, expected);
    }
}
