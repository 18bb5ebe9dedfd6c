//! Services without endpoints, and why.

use serde_json::json;

use super::*;

fn service(selector: &Value, target: &Value) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": "web", "namespace": "shop", "uid": "service", "creationTimestamp": at(0)},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": target}]},
    })
}

fn slice(ready: &[bool], ports: &Value) -> Value {
    let endpoints: Vec<_> = ready
        .iter()
        .map(|ready| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}))
        .collect();
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {"name": "web-x", "namespace": "shop", "uid": "slice", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": endpoints, "ports": ports,
    })
}

fn deployment(replicas: i32) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "shop", "uid": "web", "creationTimestamp": at(0)},
        "spec": {"replicas": replicas, "selector": {}, "template": {"metadata": {"labels": {"app": "web"}}}},
    })
}

fn served(case: &mut Case) {
    case.see(service(&json!({"app": "web"}), &json!(80)));
    case.see(deployment(1));
    case.see(pod(&status("Running", true, &running(1), 0, &json!({}))));
    case.see(slice(&[true], &json!([{"name": "", "port": 80}])));
    case.wait(60);
}

#[test]
fn a_new_service_is_given_time_to_find_its_pods() {
    let mut case = Case::new();
    case.see(service(&json!({"app": "web"}), &json!(80)));
    case.see(slice(&[], &json!([])));
    case.wait(5);
    served(&mut case);
    assert_eq!(case.lines(), []);
}

#[test]
fn a_selector_that_matches_nothing_is_told_once() {
    let mut case = Case::new();
    served(&mut case);
    case.see(service(&json!({"app": "wbe"}), &json!(80)));
    case.see(slice(&[], &json!([])));
    case.wait(60);
    let told = case.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].subject.key(), "Service/shop/web");
    assert_eq!(told[0].body.reason, Reason::SelectorMatchesNothing);
    assert_eq!(told[0].body.details["selector"], "app=wbe");
    served(&mut case);
    assert_eq!(
        case.lines(),
        [line(
            State::WithoutEndpoints,
            false,
            Reason::SelectorMatchesNothing,
            ""
        )]
    );
}

#[test]
fn a_workload_of_no_replicas_is_the_object() {
    let mut case = Case::new();
    served(&mut case);
    case.see(deployment(0));
    case.see(slice(&[], &json!([])));
    case.lose(Kind::Pod, "web-1");
    case.wait(60);
    assert_eq!(
        case.lines(),
        [line(
            State::WithoutEndpoints,
            true,
            Reason::ZeroReplicas,
            "Deployment/shop/web"
        )]
    );
    served(&mut case);
    assert_eq!(
        case.lines(),
        [line(
            State::WithoutEndpoints,
            false,
            Reason::ZeroReplicas,
            "Deployment/shop/web"
        )]
    );
}

#[test]
fn pods_that_are_not_ready_and_ports_that_no_pod_has_are_told_apart() {
    let mut case = Case::new();
    served(&mut case);
    case.see(pod(&status("Running", false, &running(1), 0, &json!({}))));
    case.see(slice(&[false], &json!([{"name": "", "port": 80}])));
    case.wait(5);
    let unserved = |reason| line(State::WithoutEndpoints, true, reason, "");
    assert!(case.lines().contains(&unserved(Reason::NoReadyPods)));
    case.see(pod(&status("Running", true, &running(1), 0, &json!({}))));
    case.see(service(&json!({"app": "web"}), &json!("htpp")));
    case.see(slice(&[true], &json!([])));
    case.wait(5);
    assert!(case.lines().contains(&unserved(Reason::WrongTargetPort)));
}

#[test]
fn a_service_without_selector_is_none_of_ours() {
    let mut case = Case::new();
    case.see(service(&Value::Null, &json!(80)));
    case.wait(600);
    assert_eq!(case.lines(), []);
}

#[test]
fn without_permission_for_endpoints_no_service_is_called_empty() {
    let mut case = Case::starting();
    case.see(service(&json!({"app": "web"}), &json!(80)));
    for source in SOURCES {
        let is_refused = source == Source::Objects(Kind::Slice);
        case.apply(source, if is_refused { Change::Blind } else { Change::Listed });
    }
    case.wait(600);
    assert_eq!(case.lines(), []);
    // The permission is given later.
    case.apply(Source::Objects(Kind::Slice), Change::List);
    case.apply(Source::Objects(Kind::Slice), Change::Listed);
    assert_eq!(
        case.lines(),
        [line(
            State::WithoutEndpoints,
            true,
            Reason::SelectorMatchesNothing,
            ""
        )]
    );
}
