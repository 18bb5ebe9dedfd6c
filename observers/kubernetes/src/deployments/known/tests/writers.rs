//! Who has written what is new: people, controllers, autoscalers.

use super::super::super::index::AUTOSCALER;
use super::super::super::signature::{AUTOSCALING, SECOND_NS};
use super::super::super::writer::CONTROLLERS;
use super::*;

#[test]
fn what_controllers_make_and_note_down_is_not_told() {
    let mut watched = Watched::new("ConfigMap");
    let owned = |value: &str| {
        config(
            "u",
            value,
            r#", "ownerReferences": [{"apiVersion": "v1", "kind": "Shop", "name": "s", "uid": "s", "controller": true}]"#,
        )
    };
    assert!(watched.see(&owned("1")).is_empty());
    assert_eq!(watched.see(&owned("2")).len(), 1, "edited by hand");
    assert!(watched.lose(&owned("2")).is_empty());
    let root = r#"{"metadata": {"namespace": "shop", "name": "kube-root-ca.crt", "uid": "r"}, "data": {"ca.crt": "x"}}"#;
    assert!(watched.see(root).is_empty());
    watched.see(&config("v", "1", ""));
    let annotated = |key: &str| config("v", "1", &format!(r#", "annotations": {{"{key}": "x"}}"#));
    assert!(
        watched
            .see(&annotated("control-plane.alpha.kubernetes.io/leader"))
            .is_empty()
    );
    assert_eq!(watched.see(&annotated("team")), ["Changed []"]);
}

#[test]
fn who_wrote_before_did_not_write_what_is_new() {
    let written = |generation: u32, second: u32, replicas: u32| {
        format!(
            r#"{{"metadata": {{"namespace": "shop", "name": "redis", "uid": "u", "generation": {generation}, "managedFields": [{{"manager": "kubectl-set",
                "time": "1970-01-01T00:16:{second}Z", "fieldsV1": {{"f:spec": {{"f:paused": {{}}}}}}}}]}}, "spec": {{"minReadySeconds": {replicas}}}}}"#
        )
    };
    let mut watched = Watched::new("Deployment");
    watched.list(&[&written(1, 40, 1)]);
    let mut told = |generation, second, replicas, observed_ns| {
        watched.now_ns = observed_ns;
        let changes = watched.changes(&written(generation, second, replicas));
        let Change {
            manager,
            time_ns,
            is_late,
            ..
        } = &changes[0];
        (manager.clone(), *time_ns, *is_late)
    };
    let second = |second: u64| (960 + second) * SECOND_NS;
    assert_eq!(
        told(2, 40, 2, second(47)),
        (String::new(), second(47), false),
        "who took something away"
    );
    assert_eq!(
        told(3, 48, 3, second(48) + 5),
        ("kubectl-set".into(), second(48) + 5, false)
    );
    assert_eq!(
        told(4, 48, 4, second(48) + 9),
        ("kubectl-set".into(), second(48) + 9, false),
        "twice in one second"
    );
    assert_eq!(
        told(5, 49, 5, second(59)),
        ("kubectl-set".into(), second(49), true)
    );
}

#[test]
fn what_an_autoscaler_does_is_told_from_what_a_person_does() {
    let index = SharedIndex::default();
    let (mut scalers, mut deployments) = (
        Watched::with(AUTOSCALER, &index),
        Watched::with("Deployment", &index),
    );
    scalers.see(
        r#"{"metadata": {"namespace": "shop", "name": "h", "uid": "h"}, "status": {"desiredReplicas": 3},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "redis"}, "maxReplicas": 5}}"#,
    );
    let scaled = |generation: u32, replicas: u32, manager: &str| {
        let fields = if manager.is_empty() {
            String::new()
        } else {
            format!(
                r#", "managedFields": [{{"manager": "{manager}", "subresource": "scale", "fieldsV1": {{"f:spec": {{"f:replicas": {{}}}}}}}}]"#
            )
        };
        format!(
            r#"{{"metadata": {{"namespace": "shop", "name": "redis", "uid": "u", "generation": {generation} {fields}}}, "spec": {{"replicas": {replicas}}}}}"#
        )
    };
    deployments.see(&scaled(1, 1, ""));
    let mut by = |generation, replicas, manager| {
        let change = deployments
            .changes(&scaled(generation, replicas, manager))
            .remove(0);
        (change.manager, change.scaler)
    };
    let of_scaler = (AUTOSCALING.to_owned(), Some("h".to_owned()));
    assert_eq!(by(2, 2, CONTROLLERS), of_scaler);
    assert_eq!(by(3, 3, ""), of_scaler, "as many as it wants");
    assert_eq!(by(4, 4, "kubectl"), ("kubectl".to_owned(), None));
    assert_eq!(by(5, 5, ""), (String::new(), None));
}
