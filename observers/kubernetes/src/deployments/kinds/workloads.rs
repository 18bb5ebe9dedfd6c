//! Deployments, `StatefulSets`, `DaemonSets`, Jobs and `CronJobs`: what they say around their pod template.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::fields;
use super::super::object::Object;
use super::{Content, template};

/// A Deployment.
pub(super) fn deployment(object: &Object) -> Content {
    rollout(&object.spec)
}

/// A `StatefulSet`.
pub(super) fn stateful_set(object: &Object) -> Content {
    let mut content = rollout(&object.spec);
    template::claims(&mut content, &object.spec);
    content
}

/// A `DaemonSet`.
pub(super) fn daemon_set(object: &Object) -> Content {
    rollout(&object.spec)
}

/// A Job.
pub(super) fn job(object: &Object) -> Content {
    let mut content = Content::default();
    of_job(&mut content, &object.spec, "");
    content
}

/// A `CronJob`.
pub(super) fn cron_job(object: &Object) -> Content {
    let mut content = Content::default();
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "jobTemplate" => of_job(
                &mut content,
                value.get("spec").unwrap_or(&Value::Null),
                "jobTemplate.",
            ),
            _ => content.entries.flatten(Aspect::Schedule, "", field, value),
        }
    }
    content
}

fn rollout(spec: &Value) -> Content {
    let mut content = Content::default();
    let has = |path: &str, value: &str| spec.pointer(path).and_then(Value::as_str) == Some(value);
    let is_paused = spec.get("paused").and_then(Value::as_bool) == Some(true);
    content.rolls = !is_paused && !has("/updateStrategy/type", "OnDelete") && !is_partitioned(spec);
    for (field, value) in fields(spec) {
        match field.as_str() {
            "replicas" => content.entries.flatten(Aspect::Replicas, "", "", value),
            "template" => template::read(&mut content, value),
            // claims are told as storage, by name; a selector cannot be changed
            "volumeClaimTemplates" | "selector" => {}
            _ => content.entries.flatten(Aspect::Rollout, "", field, value),
        }
    }
    content
}

/// Whether no pod of a `StatefulSet` has a number that is updated.
fn is_partitioned(spec: &Value) -> bool {
    let number = |path: &str| spec.pointer(path).and_then(Value::as_i64);
    let replicas = number("/replicas").unwrap_or(1);
    number("/updateStrategy/rollingUpdate/partition")
        .is_some_and(|partition| partition > 0 && partition >= replicas)
}

fn of_job(content: &mut Content, spec: &Value, prefix: &str) {
    for (field, value) in fields(spec) {
        match field.as_str() {
            "template" => template::read(content, value),
            // the API server makes it, or it cannot be changed
            "selector" => {}
            _ => {
                let name = format!("{prefix}{field}");
                content.entries.flatten(Aspect::Schedule, "", &name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, differences};

    #[test]
    fn how_pods_are_replaced_is_no_part_of_them() {
        let spec = |strategy: &str| {
            format!(
                r#"{{"strategy": {{"type": "{strategy}"}}, "minReadySeconds": 5, "template": {{"spec": {{"hostNetwork": true}}}}}}"#
            )
        };
        assert_eq!(
            differences("Deployment", &spec("Recreate"), &spec("RollingUpdate")),
            ["Rollout  strategy.type: Recreate -> RollingUpdate"]
        );
    }

    #[test]
    fn a_schedule_and_the_template_of_its_jobs_are_told() {
        let spec = |schedule: &str, limit: u32, image: &str| {
            format!(
                r#"{{"schedule": "{schedule}", "suspend": false, "jobTemplate": {{"spec": {{"backoffLimit": {limit}, "template":
                    {{"spec": {{"containers": [{{"name": "c", "image": "{image}"}}]}}}}}}}}}}"#
            )
        };
        assert_eq!(
            differences(
                "CronJob",
                &spec("0 3 * * *", 6, "i:1"),
                &spec("0 4 * * *", 1, "i:2")
            ),
            [
                "Schedule  jobTemplate.backoffLimit: 6 -> 1",
                "Schedule  schedule: 0 3 * * * -> 0 4 * * *"
            ]
        );
        let cron_job = content("CronJob", &format!(r#"{{"spec": {}}}"#, spec("", 1, "i:2")));
        assert_eq!(&*cron_job.images["c"], "i:2");
        assert_eq!(
            differences("Job", r#"{"parallelism": 1}"#, r#"{"parallelism": 3}"#),
            ["Schedule  parallelism: 1 -> 3"]
        );
    }

    #[test]
    fn pods_are_replaced_unless_the_rollout_is_paused_or_left_to_people() {
        let rolls = |kind: &str, spec: &str| content(kind, &format!(r#"{{"spec": {spec}}}"#)).rolls;
        assert!(rolls("Deployment", "{}"));
        assert!(!rolls("Deployment", r#"{"paused": true}"#));
        assert!(!rolls("DaemonSet", r#"{"updateStrategy": {"type": "OnDelete"}}"#));
        assert!(!rolls("Job", "{}"));
        let from = |partition: u32| {
            format!(
                r#"{{"replicas": 3, "updateStrategy": {{"rollingUpdate": {{"partition": {partition}}}}}}}"#
            )
        };
        assert!(!rolls("StatefulSet", &from(3)));
        assert!(rolls("StatefulSet", &from(2)) && rolls("StatefulSet", &from(0)));
    }

    #[test]
    fn the_claims_of_a_stateful_set_are_storage() {
        let spec = |size: &str| {
            format!(
                r#"{{"volumeClaimTemplates": [{{"metadata": {{"name": "data"}}, "spec": {{"resources": {{"requests": {{"storage": "{size}"}}}}}}}}]}}"#
            )
        };
        assert_eq!(
            differences("StatefulSet", &spec("1Gi"), &spec("2Gi")),
            ["Storage  data: 1Gi -> 2Gi"]
        );
    }
}
