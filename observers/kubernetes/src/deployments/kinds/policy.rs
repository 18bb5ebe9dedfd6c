//! Network policies: for which pods they are, and what they let through in each direction, in one line.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{items, items_of, scalar, scalar_of, text};
use super::super::index::Reach;
use super::super::object::Object;
use super::super::selector::{self, Selector, sentence};
use super::Content;

/// A `NetworkPolicy`.
pub(super) fn read(object: &Object) -> Content {
    let spec = &object.spec;
    // One that names no pods is for all of its namespace.
    let everything = Value::Object(serde_json::Map::new());
    let pods = spec.get("podSelector").unwrap_or(&everything);
    let mut content = Content {
        reach: Reach::Selected(Selector::of(Some(pods))),
        ..Content::default()
    };
    selector::entries(&mut content.entries, Some(pods));
    for of in items_of(spec, "policyTypes").map(scalar) {
        let (field, peers) = match of.as_str() {
            "Ingress" => ("ingress", "from"),
            "Egress" => ("egress", "to"),
            _ => continue,
        };
        let rules = spec.get(field).unwrap_or(&Value::Null);
        content
            .entries
            .tell_of(Aspect::Traffic, "", field, allowed(rules, peers), rules);
    }
    content
}

/// `from pods app=web to port 6379/TCP; from anywhere`.
fn allowed(rules: &Value, peers: &str) -> String {
    let rules: Vec<_> = items(rules).map(|rule| said(rule, peers)).collect();
    if rules.is_empty() {
        "nothing".to_owned()
    } else {
        rules.join("; ")
    }
}

fn said(rule: &Value, peers: &str) -> String {
    let others: Vec<_> = items_of(rule, peers).map(peer).collect();
    let others = if others.is_empty() {
        "anywhere".to_owned()
    } else {
        others.join(" or ")
    };
    let ports: Vec<_> = items_of(rule, "ports").map(port).collect();
    if ports.is_empty() {
        format!("{peers} {others}")
    } else {
        format!("{peers} {others}, port {}", ports.join(" or "))
    }
}

fn peer(peer: &Value) -> String {
    if let Some(block) = peer.get("ipBlock") {
        let but: Vec<_> = items_of(block, "except").map(scalar).collect();
        let cidr = text(block, "cidr");
        return if but.is_empty() {
            cidr.to_owned()
        } else {
            format!("{cidr} but {}", but.join(", "))
        };
    }
    let of = |field: &str, what: &str| {
        let selector = peer.get(field)?;
        Some(format!("{what} {}", sentence(selector)))
    };
    let parts = [of("podSelector", "pods"), of("namespaceSelector", "namespaces")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" of ")
}

fn port(port: &Value) -> String {
    let (number, end) = (scalar_of(port, "port"), scalar_of(port, "endPort"));
    let protocol = text(port, "protocol");
    match (number.is_empty(), end.is_empty()) {
        (true, _) => format!("any/{protocol}"),
        (false, true) => format!("{number}/{protocol}"),
        (false, false) => format!("{number}-{end}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, differences};
    use super::*;

    #[test]
    fn what_is_let_through_is_said() {
        let old = r#"{"podSelector": {"matchLabels": {"app": "redis"}}, "policyTypes": ["Ingress"], "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}, {"namespaceSelector": {}}], "ports": [{"port": 6379, "protocol": "TCP"}]},
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}"#;
        let new = r#"{"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}"#;
        assert_eq!(
            differences("NetworkPolicy", old, new),
            [
                "Selector  app: redis -> -",
                "Traffic  egress: - -> to anywhere",
                "Traffic  ingress: from pods app=web or namespaces all, port 6379/TCP; from 10.0.0.0/8 but 10.1.0.0/16 -> nothing",
            ]
        );
    }

    #[test]
    fn a_policy_is_for_all_pods_unless_it_says_which() {
        let web = selector::labels(&serde_json::json!({"app": "web"}));
        for (spec, is_for_web) in [
            ("{}", true),
            (r#"{"podSelector": {}}"#, true),
            (r#"{"podSelector": {"matchLabels": {"app": "redis"}}}"#, false),
        ] {
            let reach = content("NetworkPolicy", &format!(r#"{{"spec": {spec}}}"#)).reach;
            let Reach::Selected(selector) = reach else {
                panic!("{reach:?}")
            };
            assert_eq!(selector.matches(&web), is_for_web, "{spec}");
        }
    }
}
