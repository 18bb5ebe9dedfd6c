//! Who answers at an address: of a node, of a network namespace, of a socket.

use super::*;

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
