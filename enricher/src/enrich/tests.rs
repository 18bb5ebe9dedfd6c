//! Both ends of a connection, on a host and in a cluster.

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

/// Two nodes, a Service behind a port of each, and a process and a pod on the second that listen on its own network.
fn two_nodes() -> (Topology, Enricher) {
    let mut topology = Topology::default();
    for (name, ip) in [("n1", "192.168.0.1"), ("n2", "192.168.0.2")] {
        let record = NodeRecord {
            name: name.into(),
            created_ns: 0,
            addresses: vec![ip.parse().unwrap()],
        };
        topology.see_node(&record, 1);
    }
    topology.see_pod(pod("u1", "web", "10.1.0.5"), 1);
    let shared = PodRecord {
        addresses: Vec::new(),
        shares_node: true,
        ..pod("u2", "proxy", "10.1.0.6")
    };
    topology.see_pod(shared, 1);
    let service = Service {
        namespace: "shop".into(),
        name: "web".into(),
    };
    topology.see_service(&service_record(&service, "10.96.0.9", &[30_080]), 1);
    topology.see_endpoints(&service, "slice", &["u1".to_owned()], 1);
    let of_pod = |uid: &str| Entity {
        pod: Some(Pod {
            uid: uid.into(),
            ..Pod::default()
        }),
        ..Entity::default()
    };
    let unit = Entity::of_workload(workload("Unit", "host", "postgresql"));
    let listening = |subject: Entity, port| {
        event(
            2,
            subject,
            address("0.0.0.0", port),
            Body::Listening(Listening { open: true }),
        )
    };
    let mut enricher = Enricher::default();
    let mut told = batch(vec![
        listening(unit, 5432),
        listening(of_pod("u2"), 8443),
        listening(of_pod("u1"), 9000),
    ]);
    told.header.node = "n2".into();
    enricher.apply(&topology, told, 1);
    (topology, enricher)
}

#[test]
fn a_call_to_another_nodes_address_is_told_as_what_answers_there() {
    let (topology, mut enricher) = two_nodes();
    let mut key = |port| enriched(&mut enricher, &topology, address("192.168.0.2", port)).key();
    assert_eq!(
        key(30_080),
        "Deployment/shop/web",
        "a port that leads to a Service"
    );
    assert_eq!(key(5432), "Unit/host/postgresql@n2", "a unit of the node");
    assert_eq!(key(8443), "Deployment/shop/proxy", "a pod on the node's network");
    assert_eq!(
        key(9000),
        "External//192.168.0.2:9000",
        "a pod that has its own network"
    );
}

#[test]
fn a_peer_with_a_nodes_address_is_the_node() {
    let (topology, mut enricher) = two_nodes();
    let peer = enriched(&mut enricher, &topology, address("192.168.0.2", 0));
    assert_eq!(peer.key(), Entity::of_node("n2").key());
    let unknown = enriched(&mut enricher, &topology, address("192.168.0.2", 7));
    assert_eq!(unknown.node.as_deref(), Some("n2"));
    let stranger = enriched(&mut enricher, &topology, address("192.168.0.3", 0));
    assert_eq!(stranger.node, None);
}

/// An address as the network namespace `net_ns` sees it.
fn seen_from(net_ns: u32, ip: &str, port: u16) -> Entity {
    let mut entity = address(ip, port);
    if let Some(address) = &mut entity.address {
        address.net_ns = net_ns;
    }
    entity
}

/// A network namespace of the node, on one bridge with all others of this test.
fn namespace(net_ns: u32, addresses: &[&str]) -> Event {
    let told = NetworkNamespace {
        net_ns,
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        links: vec![Network {
            ip: "10.212.0.0".parse().unwrap(),
            prefix: 24,
        }],
        ..NetworkNamespace::default()
    };
    event(
        1,
        Entity::of_node("n1"),
        Entity::default(),
        Body::NetworkNamespace(told),
    )
}

fn listens(name: &str, at: Entity) -> Event {
    let owner = Entity::of_workload(workload("Cgroup", "host", name));
    event(2, owner, at, Body::Listening(Listening { open: true }))
}

#[test]
fn a_wildcard_is_blamed_for_no_other_machine_and_a_neighbour_on_a_bridge_has_a_name() {
    let mut enricher = Enricher::default();
    let told = vec![
        namespace(7, &["10.212.0.1"]),
        namespace(8, &["10.212.0.2"]),
        listens("local", seen_from(7, "0.0.0.0", 80)),
        listens("cache", seen_from(8, "0.0.0.0", 6379)),
    ];
    let topology = Topology::default();
    enricher.apply(&topology, batch(told), 1);
    let mut label = |ip: &str, port| enriched(&mut enricher, &topology, address(ip, port)).label();
    assert_eq!(label("10.212.0.9", 80), "10.212.0.9:80", "another machine");
    assert_eq!(
        label("10.212.0.2", 80),
        "10.212.0.2:80",
        "a neighbour that does not listen there"
    );
    assert_eq!(label("10.212.0.1", 80), "local");
    assert_eq!(label("127.0.0.1", 80), "local");
    assert_eq!(label("10.212.0.2", 6379), "cache");
    assert_eq!(label("127.0.0.1", 6379), "127.0.0.1:6379");
}

#[test]
fn before_addresses_are_known_only_loopback_and_bound_sockets_are_certain() {
    let mut enricher = Enricher::default();
    let told = vec![
        listens("wild", seen_from(7, "0.0.0.0", 80)),
        listens("bound", seen_from(7, "10.212.0.1", 81)),
    ];
    let topology = Topology::default();
    enricher.apply(&topology, batch(told), 1);
    let mut label = |ip: &str, port| enriched(&mut enricher, &topology, address(ip, port)).label();
    assert_eq!(label("127.0.0.1", 80), "wild");
    assert_eq!(label("10.212.0.1", 80), "10.212.0.1:80");
    assert_eq!(label("10.212.0.1", 81), "bound");
}

#[test]
fn a_call_to_another_nodes_address_finds_who_is_on_the_network_that_has_it() {
    let (topology, mut enricher) = two_nodes();
    let mut told = batch(vec![
        namespace(7, &["192.168.0.2"]),
        namespace(8, &["10.212.0.2"]),
        listens("inside", seen_from(8, "0.0.0.0", 7000)),
        listens("outside", seen_from(7, "0.0.0.0", 7001)),
    ]);
    told.header.node = "n2".into();
    enricher.apply(&topology, told, 1);
    let mut key = |port| enriched(&mut enricher, &topology, address("192.168.0.2", port)).key();
    assert_eq!(key(7000), "External//192.168.0.2:7000", "in a network of its own");
    assert_eq!(key(7001), "Cgroup/host/outside@n2");
}
