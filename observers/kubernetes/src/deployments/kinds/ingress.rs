//! Ingresses: which host and path leads to which port of which Service.

use std::collections::BTreeSet;

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, items, items_of, scalar, scalar_of, text};
use super::super::index::Reach;
use super::super::object::Object;
use super::Content;

/// An Ingress.
pub(super) fn read(object: &Object) -> Content {
    let mut content = Content::default();
    let mut services = BTreeSet::new();
    let entries = &mut content.entries;
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "rules" => {
                for rule in items(value) {
                    let host = Some(text(rule, "host")).filter(|host| !host.is_empty());
                    let paths = rule.pointer("/http/paths").into_iter().flat_map(items);
                    for path in paths {
                        let name = format!("{}{}", host.unwrap_or("*"), text(path, "path"));
                        let backend = path.get("backend").unwrap_or(&Value::Null);
                        entries.tell_of(Aspect::Routes, "", &name, told(backend), path);
                        services.extend(service(backend));
                    }
                }
            }
            "defaultBackend" => {
                entries.tell_of(Aspect::Routes, "", "default", told(value), value);
                services.extend(service(value));
            }
            "tls" => {
                for tls in items(value) {
                    let hosts: Vec<_> = items_of(tls, "hosts").map(scalar).collect();
                    let name = format!("tls {}", hosts.join(", "));
                    entries.tell(Aspect::Routes, &name, text(tls, "secretName"));
                }
            }
            _ => entries.flatten(Aspect::Other, "", field, value),
        }
    }
    content.reach = Reach::Behind(services);
    content
}

fn service(backend: &Value) -> Option<Box<str>> {
    Some(backend.pointer("/service/name")?.as_str()?.into())
}

/// `web:80`, or the kind and name of what is no Service.
fn told(backend: &Value) -> String {
    let Some(service) = backend.get("service") else {
        let resource = backend.get("resource").unwrap_or(&Value::Null);
        return format!("{} {}", text(resource, "kind"), text(resource, "name"));
    };
    let port = service.get("port").unwrap_or(&Value::Null);
    let number = scalar_of(port, "number");
    let port = if number.is_empty() {
        text(port, "name")
    } else {
        &number
    };
    format!("{}:{port}", text(service, "name"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, differences};
    use super::*;

    #[test]
    fn a_route_is_told_by_host_and_path() {
        let spec = |port: &str| {
            format!(
                r#"{{"ingressClassName": "nginx", "defaultBackend": {{"resource": {{"kind": "Bucket", "name": "static"}}}},
                    "tls": [{{"hosts": ["shop.example"], "secretName": "cert"}}],
                    "rules": [{{"host": "shop.example", "http": {{"paths": [{{"path": "/api", "pathType": "Prefix", "backend": {{"service": {{"name": "api", "port": {port}}}}}}}]}}}}]}}"#
            )
        };
        let (old, new) = (spec(r#"{"number": 80}"#), spec(r#"{"name": "http"}"#));
        assert_eq!(
            differences("Ingress", &old, &new),
            ["Routes  shop.example/api: api:80 -> api:http"]
        );
        assert_eq!(
            differences("Ingress", "{}", &old),
            [
                "Routes  default: - -> Bucket static",
                "Routes  shop.example/api: - -> api:80",
                "Routes  tls shop.example: - -> cert",
                "Other  ingressClassName: - -> nginx"
            ]
        );
        let reach = content("Ingress", &format!(r#"{{"spec": {old}}}"#)).reach;
        assert_eq!(reach, Reach::Behind(BTreeSet::from(["api".into()])));
    }
}
