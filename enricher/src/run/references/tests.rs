//! What objects say of their relations.

use super::*;
use crate::relations::Labels;
use crate::run::records;

fn object<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn names(all: &BTreeSet<Identity>) -> Vec<String> {
    all.iter().map(Identity::key).collect()
}

#[test]
fn a_pod_names_everything_it_reads_and_nothing_else() {
    let pod: Pod = object(
        r#"{"metadata": {"uid": "u", "name": "web-x", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "serviceAccountName": "web", "imagePullSecrets": [{"name": "registry"}],
             "volumes": [{"name": "a", "configMap": {"name": "settings"}}, {"name": "b", "secret": {"secretName": "tls"}},
               {"name": "c", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "d", "emptyDir": {}},
               {"name": "e", "projected": {"sources": [{"configMap": {"name": "root"}}, {"secret": {"name": "token"}},
                 {"serviceAccountToken": {"path": "t"}}]}}],
             "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "migrate"}}]}],
             "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "env"}}],
               "env": [{"name": "A", "value": "plain"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "b"}}},
                 {"name": "C", "valueFrom": {"secretKeyRef": {"name": "password", "key": "p"}}},
                 {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}}"#,
    );
    let record = super::pod(&pod, &records::pod(&pod).unwrap(), false);
    assert_eq!(
        names(&record.shape.mounts),
        [
            "ConfigMap/shop/root",
            "ConfigMap/shop/settings",
            "PersistentVolumeClaim/shop/data",
            "Secret/shop/tls",
            "Secret/shop/token"
        ]
    );
    assert_eq!(
        names(&record.shape.refers_to),
        [
            "ConfigMap/shop/env",
            "ConfigMap/shop/flags",
            "Secret/shop/migrate",
            "Secret/shop/password",
            "Secret/shop/registry"
        ]
    );
    assert_eq!(record.node.unwrap().key(), "Node//n1");
    assert_eq!(record.shape.labels, Labels::from([("app".into(), "web".into())]));
}

#[test]
fn a_service_without_a_selector_selects_nothing_and_a_policy_without_one_everything() {
    let bare: Service = object(r#"{"metadata": {"name": "s", "namespace": "shop"}, "spec": {}}"#);
    assert_eq!(service(&bare), None);
    let web: Service = object(r#"{"metadata": {"name": "s"}, "spec": {"selector": {"app": "web"}}}"#);
    assert!(
        service(&web)
            .unwrap()
            .matches(&Labels::from([("app".into(), "web".into())]))
    );
    let all: NetworkPolicy = object(r#"{"metadata": {"name": "p"}, "spec": {"podSelector": {}}}"#);
    assert_eq!(network_policy(&all), Selector::default());
    let some: NetworkPolicy = object(
        r#"{"metadata": {"name": "p"}, "spec": {"podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [
             {"key": "a", "operator": "In", "values": ["x"]}, {"key": "b", "operator": "NotIn", "values": ["x"]},
             {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}]}}}"#,
    );
    let of = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        network_policy(&some).matches(&owned.collect())
    };
    assert!(of(&[("app", "web"), ("a", "x"), ("b", "y"), ("c", "")]));
    assert!(!of(&[("app", "web"), ("a", "x"), ("b", "x"), ("c", "")]));
    assert!(!of(&[("app", "web"), ("a", "x"), ("c", ""), ("d", "")]));
}

#[test]
fn an_ingress_routes_to_every_service_it_names_and_an_autoscaler_scales_one() {
    let entry: Ingress = object(
        r#"{"metadata": {"name": "entry", "namespace": "shop"}, "spec": {
             "defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}},
             "rules": [{"http": {"paths": [{"pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
               {"pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}]}}, {"host": "x"}]}}"#,
    );
    assert_eq!(
        names(&ingress(&entry)),
        ["Service/shop/fallback", "Service/shop/web"]
    );
    assert_eq!(identity::<Ingress>(&entry.metadata).key(), "Ingress/shop/entry");
    let scaler: HorizontalPodAutoscaler = object(
        r#"{"metadata": {"name": "more", "namespace": "shop"}, "spec": {"maxReplicas": 3,
             "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}"#,
    );
    assert_eq!(names(&autoscaler(&scaler)), ["Deployment/shop/web"]);
}
