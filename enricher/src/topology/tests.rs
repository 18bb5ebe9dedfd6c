//! Who held which address when, and who was behind a Service.

use super::*;

fn named(kind: &str, name: &str) -> Workload {
    Workload {
        kind: kind.into(),
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn pod(uid: &str, address: &str) -> PodRecord {
    PodRecord {
        pod: Pod {
            uid: uid.into(),
            namespace: "shop".into(),
            name: format!("{uid}-pod"),
        },
        owner: named("Deployment", uid),
        created_ns: 0,
        node: None,
        addresses: vec![address.parse().unwrap()],
        shares_node: false,
        containers: vec![Container {
            id: format!("c-{uid}"),
            ..Container::default()
        }],
    }
}

#[test]
fn an_address_means_what_it_meant_then() {
    let mut topology = Topology::default();
    let address = "10.1.0.7".parse().unwrap();
    let created = |uid, created_ns| PodRecord {
        created_ns,
        ..pod(uid, "10.1.0.7")
    };
    topology.see_pod(created("a", 10), 11);
    topology.lose_pod("a", 20);
    topology.see_pod(created("b", 30), 32);
    assert_eq!(topology.holder(address, 15), Some(&Holder::Pod("a".into())));
    assert_eq!(
        topology.holder(address, 25),
        Some(&Holder::Pod("a".into())),
        "the dead are remembered"
    );
    assert_eq!(
        topology.holder(address, 31),
        Some(&Holder::Pod("b".into())),
        "before it was told"
    );
    assert_eq!(topology.holder(address, 5), None);
}

#[test]
fn a_pod_that_was_created_early_does_not_inherit_the_past_of_its_address() {
    let mut topology = Topology::default();
    topology.see_pod(pod("a", "10.1.0.7"), 10);
    topology.lose_pod("a", 20);
    topology.see_pod(pod("b", "10.1.0.7"), 30);
    let holder = topology.holder("10.1.0.7".parse().unwrap(), 15);
    assert_eq!(holder, Some(&Holder::Pod("a".into())));
}

fn redis() -> Service {
    Service {
        namespace: "shop".into(),
        name: "redis".into(),
    }
}

fn service(node_ports: &[u16]) -> ServiceRecord {
    ServiceRecord {
        name: redis(),
        created_ns: 0,
        addresses: vec!["10.96.0.5".parse().unwrap()],
        node_ports: node_ports.to_vec(),
    }
}

fn uids(uids: &[&str]) -> Vec<String> {
    uids.iter().map(|uid| (*uid).to_owned()).collect()
}

#[test]
fn a_service_keeps_its_workload_when_its_endpoints_vanish() {
    let mut topology = Topology::default();
    topology.see_pod(pod("redis", "10.1.0.1"), 1);
    topology.see_pod(pod("other", "10.1.0.2"), 1);
    topology.see_service(&service(&[]), 1);
    let (stable, other) = (named("Deployment", "redis"), named("Deployment", "other"));
    assert_eq!(topology.workloads_behind(&redis(), 1), [], "no endpoints yet");
    topology.see_endpoints(&redis(), "slice", &uids(&["redis"]), 2);
    topology.see_endpoints(&redis(), "slice", &[], 3);
    assert_eq!(
        topology.workloads_behind(&redis(), 9),
        std::slice::from_ref(&stable)
    );
    topology.see_endpoints(&redis(), "second", &uids(&["other"]), 10);
    topology.lose_endpoints("other", "second", 11);
    assert_eq!(
        topology.workloads_behind(&redis(), 12),
        std::slice::from_ref(&other),
        "another namespace's"
    );
    topology.lose_endpoints("shop", "second", 13);
    topology.forget(14 + REMEMBER_NS);
    assert_eq!(
        topology.workloads_behind(&redis(), 14 + REMEMBER_NS),
        [other],
        "the last is still its own"
    );
}

#[test]
fn the_workloads_behind_a_service_are_those_of_that_time() {
    let mut topology = Topology::default();
    for (uid, address) in [
        ("stable", "10.1.0.1"),
        ("canary", "10.1.0.2"),
        ("stable-2", "10.1.0.3"),
    ] {
        topology.see_pod(pod(uid, address), 1);
    }
    topology.see_service(&service(&[]), 1);
    topology.see_endpoints(&redis(), "slice", &uids(&["stable"]), 1);
    topology.see_endpoints(&redis(), "slice", &uids(&["stable", "canary"]), 10);
    topology.see_endpoints(&redis(), "slice", &uids(&["stable"]), 20);
    let (stable, canary) = (named("Deployment", "stable"), named("Deployment", "canary"));
    assert_eq!(
        topology.workloads_behind(&redis(), 5),
        std::slice::from_ref(&stable)
    );
    assert_eq!(topology.workloads_behind(&redis(), 15), [canary, stable.clone()]);
    assert_eq!(
        topology.workloads_behind(&redis(), 25),
        std::slice::from_ref(&stable)
    );
    topology.forget(20 + REMEMBER_NS);
    let long_ago = topology.workloads_behind(&redis(), 15);
    assert_eq!(long_ago, [stable], "whoever left long ago is forgotten");
}

#[test]
fn a_finished_pod_does_not_take_its_address_from_who_has_it_now() {
    let mut topology = Topology::default();
    let address = "10.1.0.7".parse().unwrap();
    let of = |uid: &str| Some(Holder::Pod(uid.into()));
    let ended = || PodRecord {
        addresses: Vec::new(),
        ..pod("job", "10.1.0.7")
    };
    topology.see_pod(pod("job", "10.1.0.7"), 10);
    topology.see_pod(ended(), 20);
    let created = |created_ns| PodRecord {
        created_ns,
        ..pod("web", "10.1.0.7")
    };
    topology.see_pod(created(30), 31);
    topology.see_pod(ended(), 40);
    topology.lose_pod("job", 50);
    assert_eq!(topology.holder(address, 15).cloned(), of("job"));
    for time_ns in [35, 45, 55] {
        assert_eq!(topology.holder(address, time_ns).cloned(), of("web"), "{time_ns}");
    }
    topology.lose_pod("web", 60);
    assert_eq!(
        topology.holder(address, 70).cloned(),
        of("web"),
        "the last that had it"
    );
}

#[test]
fn a_pod_that_gets_another_address_gives_its_own_back() {
    let mut topology = Topology::default();
    topology.see_pod(pod("a", "10.1.0.7"), 10);
    topology.see_pod(pod("a", "10.1.0.8"), 20);
    topology.see_pod(pod("b", "10.1.0.7"), 30);
    let holder = |address: &str| topology.holder(address.parse().unwrap(), 40).cloned();
    assert_eq!(holder("10.1.0.7"), Some(Holder::Pod("b".into())));
    assert_eq!(holder("10.1.0.8"), Some(Holder::Pod("a".into())));
}

#[test]
fn a_node_has_addresses_and_a_service_ports_of_every_node() {
    let mut topology = Topology::default();
    let node = NodeRecord {
        name: "n2".into(),
        created_ns: 0,
        addresses: vec!["192.168.0.2".parse().unwrap()],
    };
    topology.see_node(&node, 1);
    let holder = topology.holder("192.168.0.2".parse().unwrap(), 5).cloned();
    assert_eq!(holder, Some(Holder::Node("n2".into())));
    topology.see_service(&service(&[30_080, 30_443]), 1);
    assert_eq!(topology.service_at(30_080), Some(&redis()));
    assert_eq!(topology.service_at(8080), None);
    topology.see_service(&service(&[30_443]), 2);
    assert_eq!(topology.service_at(30_080), None, "given back");
    topology.lose_service(&redis(), 3);
    assert_eq!(topology.service_at(30_443), Some(&redis()), "remembered");
    topology.forget(3 + REMEMBER_NS);
    assert_eq!(topology.service_at(30_443), None);
}

#[test]
fn a_pod_belongs_to_the_top_of_its_owner_chain() {
    let mut topology = Topology::default();
    let record = PodRecord {
        owner: named("ReplicaSet", "redis-5f"),
        ..pod("u", "10.1.0.1")
    };
    assert_eq!(
        topology.workload_of(&record),
        named("ReplicaSet", "redis-5f"),
        "until its owner is told"
    );
    topology.see_owner(named("ReplicaSet", "redis-5f"), named("Deployment", "redis"));
    assert_eq!(topology.workload_of(&record), named("Deployment", "redis"));
}

#[test]
fn a_controller_is_remembered_as_long_as_its_pods() {
    let mut topology = Topology::default();
    let child = named("ReplicaSet", "redis-5f");
    let record = PodRecord {
        owner: child.clone(),
        ..pod("u", "10.1.0.1")
    };
    topology.see_pod(record.clone(), 1);
    topology.see_owner(child.clone(), named("Deployment", "redis"));
    topology.lose_owner(&child);
    topology.lose_pod("u", 2);
    topology.forget(3);
    assert_eq!(topology.workload_of(&record), named("Deployment", "redis"));
    topology.forget(2 + REMEMBER_NS);
    assert_eq!(topology.workload_of(&record), child, "forgotten");
}

#[test]
fn the_long_dead_are_forgotten() {
    let mut topology = Topology::default();
    topology.see_pod(pod("a", "10.1.0.7"), 10);
    topology.lose_pod("a", 20);
    topology.forget(20 + REMEMBER_NS - 1);
    assert!(topology.pod_of_container("c-a").is_some());
    topology.forget(20 + REMEMBER_NS);
    assert!(topology.pod("a").is_none() && topology.pod_of_container("c-a").is_none());
    assert_eq!(topology.holder("10.1.0.7".parse().unwrap(), 15), None);
}
