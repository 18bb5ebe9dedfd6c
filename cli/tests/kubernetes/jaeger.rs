//! An incident as Jaeger shows it, asked through the API server's proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_schema::Incident;
use serde_json::Value;

use crate::cluster::{kubectl, wait_for};

const QUERY: &str = "/api/v1/namespaces/tapio/services/tapio-jaeger:query/proxy/api/traces";

/// One span per step, each below its cause, and nothing that Jaeger had to correct.
pub(crate) fn assert_trace(incident: &Incident) {
    let spans = wait_for(Duration::from_secs(20), || spans_of(incident)).expect("a trace of the revision");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id_of: BTreeMap<String, String> = spans
        .iter()
        .map(|span| (tag(span, "tapio.incident.text"), text(&span["spanID"])))
        .collect();
    assert_eq!(spans.len(), incident.steps.len(), "one span a step");
    for step in &incident.steps {
        let span = spans
            .iter()
            .find(|span| tag(span, "tapio.incident.text") == step.text)
            .unwrap();
        assert_eq!(text(&span["operationName"]), step.name);
        let parents = span["references"].as_array().into_iter().flatten();
        let parent = parents
            .filter(|reference| reference["refType"] == "CHILD_OF")
            .map(|reference| text(&reference["spanID"]))
            .next();
        let cause = step
            .caused_by
            .first()
            .map(|cause| incident.steps.iter().find(|step| step.id == cause.step).unwrap());
        assert_eq!(
            parent,
            cause.map(|cause| id_of[&cause.text].clone()),
            "parent of {}",
            step.name
        );
        let warnings = span["warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(warnings, 0, "{}: {}", step.name, span["warnings"]);
    }
}

/// The spans of exactly this revision.
fn spans_of(incident: &Incident) -> Option<Vec<Value>> {
    let tags = format!(
        "%7B%22tapio.incident.id%22%3A%22{}%22%2C%22tapio.incident.revision%22%3A%22{}%22%7D",
        incident.id, incident.revision
    );
    let found = kubectl(&[
        "get",
        "--raw",
        &format!(
            "{QUERY}?service={}&limit=20&lookback=1h&tags={tags}",
            incident.workload
        ),
    ]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let spans = found["data"][0]["spans"].as_array()?;
    Some(spans.clone())
}

fn tag(span: &Value, key: &str) -> String {
    let mut tags = span["tags"].as_array().into_iter().flatten();
    let tag = tags.find(|tag| tag["key"] == key).map(|tag| &tag["value"]);
    tag.and_then(Value::as_str).unwrap_or_default().to_owned()
}
