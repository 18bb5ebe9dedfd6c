//! Services: which pods they select, their ports, and the rest by name.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, items, scalar, scalar_of, text};
use super::super::index::Reach;
use super::super::object::Object;
use super::super::selector::Selector;
use super::Content;

/// A Service.
pub(super) fn read(object: &Object) -> Content {
    let selector = object.spec.get("selector").unwrap_or(&Value::Null);
    let mut content = Content {
        reach: Reach::Selected(Selector::of_labels(selector)),
        ..Content::default()
    };
    let entries = &mut content.entries;
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "selector" => {
                for (label, value) in fields(value) {
                    entries.tell(Aspect::Selector, label, scalar(value));
                }
            }
            "ports" => {
                for port in items(value) {
                    let (number, name) = (scalar_of(port, "port"), text(port, "name"));
                    let name = if name.is_empty() { &number } else { name };
                    entries.tell_of(Aspect::ServicePorts, "", name, told(port), port);
                }
            }
            _ => entries.flatten(Aspect::Other, "", field, value),
        }
    }
    content
}

/// `80/TCP -> 8080`, and the port of the nodes where there is one.
fn told(port: &Value) -> String {
    let (number, protocol) = (scalar_of(port, "port"), text(port, "protocol"));
    let target = scalar_of(port, "targetPort");
    let node = scalar_of(port, "nodePort");
    if node.is_empty() {
        format!("{number}/{protocol} -> {target}")
    } else {
        format!("{number}/{protocol} -> {target}, node {node}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::differences;

    #[test]
    fn labels_ports_and_type_are_told() {
        let old = r#"{"selector": {"app": "web"}, "type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}"#;
        let new = r#"{"selector": {"app": "wbe", "tier": "a"}, "type": "NodePort", "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "web", "nodePort": 30080}]}"#;
        assert_eq!(
            differences("Service", old, new),
            [
                "Selector  app: web -> wbe",
                "Selector  tier: - -> a",
                "ServicePorts  http: 80/TCP -> 8080 -> 80/TCP -> web, node 30080",
                "Other  type: ClusterIP -> NodePort",
            ]
        );
    }
}
