//! Both ends of a connection, on a host and in a cluster.

mod addresses;

use std::net::IpAddr;

use bus_schema::entity::{Container, Pod, Service, Workload};
use bus_schema::event::kubernetes::ImageChanged;
use bus_schema::event::network::{ConnectFailed, Listening, Network, NetworkNamespace, PacketsDropped};
use bus_schema::{EventId, Header, Severity};

use super::*;
use crate::topology::{NodeRecord, ServiceRecord};

fn workload(kind: &str, namespace: &str, name: &str) -> Workload {
    Workload {
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn address(ip: &str, port: u16) -> Entity {
    Entity::of_address(Address {
        ip: ip.parse::<IpAddr>().unwrap(),
        port,
        net_ns: 7,
    })
}

fn event(time_ns: u64, subject: Entity, object: Entity, body: Body) -> Event {
    Event {
        id: EventId(u128::from(time_ns)),
        time_ns,
        observed_ns: time_ns,
        severity: Severity::Info,
        subject,
        object: Some(object),
        count: 1,
        window_ns: 0,
        trace: None,
        body,
    }
}

fn batch(events: Vec<Event>) -> Batch {
    let watermark_ns = events
        .iter()
        .map(|event| event.time_ns)
        .max()
        .unwrap_or(1_000_000_000);
    let header = Header {
        node: "n1".into(),
        boot: "b".into(),
        observer: "network".into(),
        watermark_ns,
        ..Header::default()
    };
    Batch {
        header,
        events,
        ..Batch::default()
    }
}

fn pod(uid: &str, name: &str, ip: &str) -> PodRecord {
    PodRecord {
        created_ns: 0,
        pod: Pod {
            uid: uid.into(),
            namespace: "shop".into(),
            name: format!("{name}-1"),
        },
        owner: workload("Deployment", "shop", name),
        node: Some("n1".into()),
        addresses: vec![ip.parse().unwrap()],
        shares_node: false,
        containers: vec![Container {
            id: format!("id-{name}"),
            name: name.into(),
            image: "shop:1".into(),
        }],
    }
}

fn service_record(name: &Service, ip: &str, node_ports: &[u16]) -> ServiceRecord {
    ServiceRecord {
        name: name.clone(),
        created_ns: 0,
        addresses: vec![ip.parse().unwrap()],
        node_ports: node_ports.to_vec(),
    }
}

/// What becomes of the object of a refused connection.
fn enriched(enricher: &mut Enricher, topology: &Topology, object: Entity) -> Entity {
    let outcome = enricher.apply(topology, batch(vec![refused(5, object)]), 1);
    let mut events = outcome.shares.into_iter().flat_map(|share| share.events);
    events.next().unwrap().object.unwrap()
}

fn refused(time_ns: u64, object: Entity) -> Event {
    let gateway = Entity::of_workload(workload("Cgroup", "host", "gateway"));
    event(
        time_ns,
        gateway,
        object,
        Body::ConnectFailed(ConnectFailed::default()),
    )
}

#[test]
fn on_a_host_a_refused_port_is_the_service_that_listened_there() {
    let cache = Entity::of_workload(workload("Cgroup", "host", "cache"));
    let listening = |time_ns, open| {
        event(
            time_ns,
            cache.clone(),
            address("127.0.0.1", 6379),
            Body::Listening(Listening { open }),
        )
    };
    let mut enricher = Enricher::default();
    let events = vec![
        listening(1, true),
        listening(5, false),
        refused(6, address("127.0.0.1", 6379)),
        refused(7, address("127.0.0.1", 1)),
    ];
    let shares = enricher.apply(&Topology::default(), batch(events), 1).shares;
    let objects: Vec<_> = shares
        .iter()
        .flat_map(|share| &share.events)
        .filter(|event| matches!(event.body, Body::ConnectFailed(_)))
        .collect();
    assert_eq!(objects[0].object.as_ref().unwrap().label(), "cache");
    assert_eq!(
        objects[1].object.as_ref().unwrap().workload,
        None,
        "nobody ever listened there"
    );
}

#[test]
fn in_a_cluster_containers_have_owners_and_addresses_have_pods_and_services() {
    let mut topology = Topology::default();
    topology.see_pod(pod("u1", "api-gateway", "10.1.0.5"), 1);
    topology.see_pod(pod("u2", "redis", "10.1.0.6"), 1);
    let service = Service {
        namespace: "shop".into(),
        name: "redis".into(),
    };
    topology.see_service(&service_record(&service, "10.96.0.9", &[]), 1);
    topology.see_endpoints(&service, "slice", &["u2".to_owned()], 1);
    let container = Entity {
        container: Some(Container {
            id: "id-api-gateway".into(),
            ..Container::default()
        }),
        ..Entity::default()
    };
    let attempt = |object| {
        event(
            5,
            container.clone(),
            object,
            Body::ConnectFailed(ConnectFailed::default()),
        )
    };
    let events = vec![
        attempt(address("10.1.0.6", 6379)),
        attempt(address("10.96.0.9", 6379)),
    ];
    let shares = Enricher::default().apply(&topology, batch(events), 1).shares;
    for event in shares.iter().flat_map(|share| &share.events) {
        assert_eq!(
            event.subject.workload,
            Some(workload("Deployment", "shop", "api-gateway"))
        );
        assert_eq!(event.subject.container.as_ref().unwrap().name, "api-gateway");
        assert_eq!(event.object.as_ref().unwrap().key(), "Deployment/shop/redis");
    }
    assert_eq!(shares.iter().flat_map(|share| &share.events).count(), 2);
}

#[test]
fn who_is_known_by_an_address_alone_is_its_pod_and_a_stranger_stays_an_address() {
    let mut topology = Topology::default();
    topology.see_pod(pod("u1", "api-gateway", "10.1.0.5"), 1);
    let dropped = |caller| {
        let body = Body::PacketsDropped(PacketsDropped::default());
        event(5, address(caller, 0), address("10.1.0.6", 6379), body)
    };
    let events = vec![dropped("10.1.0.5"), dropped("192.0.2.1")];
    let shares = Enricher::default().apply(&topology, batch(events), 1).shares;
    let subjects: Vec<_> = shares
        .iter()
        .flat_map(|share| &share.events)
        .map(|event| event.subject.label())
        .collect();
    assert_eq!(subjects, ["api-gateway", "192.0.2.1"]);
}

#[test]
fn a_workload_of_the_cluster_is_on_no_node_and_a_process_is_on_its_observers() {
    let redis = Entity::of_workload(workload("Deployment", "shop", "redis"));
    let change = event(
        5,
        redis.clone(),
        redis.clone(),
        Body::ImageChanged(ImageChanged::default()),
    );
    let here = refused(5, Entity::default());
    let mut of_cluster = batch(vec![change]);
    of_cluster.header.observer = "deployments".into();
    let nodes: BTreeMap<_, _> = [of_cluster, batch(vec![here])]
        .into_iter()
        .flat_map(|batch| Enricher::default().apply(&Topology::default(), batch, 1).shares)
        .flat_map(|share| share.events)
        .map(|event| (event.subject.label(), event.subject.node.clone()))
        .collect();
    assert_eq!(nodes["redis"], None);
    assert_eq!(nodes["gateway"].as_deref(), Some("n1"));
}

#[test]
fn events_of_one_workload_share_a_partition() {
    let mut enricher = Enricher::default();
    for time_ns in [5, 6] {
        let events = vec![refused(time_ns, address("10.0.0.1", 1))];
        let shares = enricher.apply(&Topology::default(), batch(events), 4).shares;
        let partitions: Vec<_> = shares.iter().map(|share| share.partition).collect();
        assert_eq!(partitions, [partition_of_slot(slot("Cgroup/host/gateway@n1"), 4)]);
    }
}

/// A heartbeat of an observer that has come that far, ms.
fn heartbeat(observer: &str, mark_ms: u64) -> Batch {
    let header = Header {
        observer: observer.into(),
        watermark_ns: mark_ms * 1_000_000,
        received_ns: mark_ms * 1_000_000,
        ..Header::default()
    };
    Batch {
        header,
        ..Batch::default()
    }
}

#[test]
fn time_is_that_of_the_slowest_observer_and_told_once_for_all() {
    let mut enricher = Enricher::default();
    let mut told = |observer, mark_ms| {
        let outcome = enricher.apply(&Topology::default(), heartbeat(observer, mark_ms), 4);
        assert_eq!(outcome.shares, [], "nothing happened");
        outcome.watermark_ns.map(|time_ns| time_ns / 1_000_000)
    };
    assert_eq!(told("network", 1_000), Some(1_000));
    assert_eq!(told("memory", 1_000), None, "no further");
    assert_eq!(told("network", 2_000), None, "memory has not come that far");
    assert_eq!(told("memory", 1_999), None, "not worth a message");
    assert_eq!(told("memory", 2_010), Some(2_000));
}

#[test]
fn a_batch_about_many_workloads_is_one_message_a_partition() {
    let about = |number: u64| {
        let name = format!("service-{number}");
        let subject = Entity::of_workload(workload("Deployment", "shop", &name));
        event(
            number,
            subject,
            address("10.0.0.1", 1),
            Body::ConnectFailed(ConnectFailed::default()),
        )
    };
    let events: Vec<_> = (1..=64).map(about).collect();
    let shares = Enricher::default()
        .apply(&Topology::default(), batch(events), 4)
        .shares;
    assert_eq!(shares.len(), 4);
    for share in &shares {
        let own = |event: &Event| partition_of_slot(slot(&event.subject.key()), 4) == share.partition;
        assert!(!share.events.is_empty() && share.events.iter().all(own));
        assert!(
            share.events.is_sorted_by_key(|event| event.time_ns),
            "the order of the batch"
        );
    }
}

#[test]
fn a_service_that_two_workloads_share_names_both() {
    let mut topology = Topology::default();
    topology.see_pod(pod("u1", "web-stable", "10.1.0.5"), 1);
    topology.see_pod(pod("u2", "web-canary", "10.1.0.6"), 1);
    let service = Service {
        namespace: "shop".into(),
        name: "web".into(),
    };
    topology.see_service(&service_record(&service, "10.96.0.9", &[]), 1);
    let told = |topology: &Topology| {
        let object = enriched(&mut Enricher::default(), topology, address("10.96.0.9", 80));
        assert_eq!(object.service.as_ref(), Some(&service));
        let names = object.backends.iter().map(|workload| workload.name.clone());
        (object.key(), names.collect::<Vec<_>>())
    };
    topology.see_endpoints(&service, "slice", &["u1".to_owned()], 2);
    assert_eq!(told(&topology), ("Deployment/shop/web-stable".to_owned(), vec![]));
    topology.see_endpoints(&service, "slice", &["u1".to_owned(), "u2".to_owned()], 4);
    let both = vec!["web-canary".to_owned(), "web-stable".to_owned()];
    assert_eq!(told(&topology), ("Service/shop/web".to_owned(), both));
    for number in 0..=MOST_BACKENDS {
        let uid = format!("many-{number}");
        topology.see_pod(pod(&uid, &uid, "10.1.0.7"), 4);
        topology.see_endpoints(&service, &uid, std::slice::from_ref(&uid), 4);
    }
    assert_eq!(told(&topology).1.len(), MOST_BACKENDS);
}
