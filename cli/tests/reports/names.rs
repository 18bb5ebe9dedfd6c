//! Whose address it is, and what its holder is called.

use std::time::Duration;

use bus_schema::Incident;

use crate::host::{PYTHON, Service, ask, program};
use crate::neighbour::Neighbour;
use crate::scene::{Scene, root};

/// What calls and is called has been seen after this long.
const RUNS: Duration = Duration::from_secs(3);

/// Whether the incident tells of refused connections to whoever is called so.
fn tells_refused_by(incident: &Incident, callee: &str) -> bool {
    incident.steps.iter().any(|step| {
        let peer = step.peer.as_ref().map(bus_schema::Entity::label);
        step.condition == "connect_refused" && peer.as_deref() == Some(callee)
    })
}

fn names(incident: &Incident, who: &str) -> bool {
    incident.steps.iter().any(|step| {
        let peer = step.peer.as_ref().map(bus_schema::Entity::label);
        step.label == who || peer.as_deref() == Some(who)
    })
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_local_service_is_not_blamed_for_another_machine_on_its_port() {
    let scene = Scene::new("same-port").await;
    let (local, batch, port) = (scene.service("local"), scene.service("batch"), Scene::port());
    let machine = Neighbour::new();
    let _server = local.serves(port.number());
    tokio::time::sleep(RUNS).await;
    let _client = batch.asks_at(&machine.ip(), port.number(), "/", 5, 30);
    let address = format!("{}:{}", machine.ip(), port.number());
    let is_address = |incident: &_| tells_refused_by(incident, &address) && !names(incident, "local");
    let right = format!("connections of batch to {address} refused");
    scene.has_one(&right, is_address).await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_local_service_is_known_by_every_address_of_its_host() {
    let scene = Scene::new("own-address").await;
    let (local, batch, port) = (scene.service("local"), scene.service("batch"), Scene::port());
    let (network, other) = (Neighbour::new(), scene.service("other"));
    let server = local.serves(port.number());
    // who listens in a network that is new makes the observer look at the addresses of all
    let _inside = other.run(&network.inside(&[PYTHON, &program("serve.py"), &port.number().to_string()]));
    tokio::time::sleep(RUNS).await;
    let _client = batch.asks_at(&network.host(), port.number(), "/", 10, 40);
    tokio::time::sleep(RUNS).await;
    ask(port.number(), "/exit");
    server.ends().await;
    let is_local = |incident: &_| {
        root(incident).label == "local" && tells_refused_by(incident, "local") && !names(incident, "other")
    };
    scene
        .has_one(
            "a crash of local, connections of batch to local refused",
            is_local,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_neighbour_on_a_bridge_is_known_by_its_own_network() {
    let scene = Scene::new("bridge").await;
    let (cache, gateway, port) = (scene.service("cache"), scene.service("gw"), Scene::port());
    cache.group.limit(64 << 20).unwrap();
    let bridge = Neighbour::new();
    let _server = cache.run(&bridge.inside(&[PYTHON, &program("serve.py"), &port.number().to_string()]));
    tokio::time::sleep(RUNS).await;
    let _client = gateway.asks_at(&bridge.ip(), port.number(), "/leak", 10, 40);
    let is_chain =
        |incident: &_| root(incident).condition == "memory_growth" && tells_refused_by(incident, "cache");
    scene
        .has_one(
            "memory grew in cache, OOM kill, connections of gw to cache refused",
            is_chain,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_host_is_known_to_who_calls_it_from_a_network_of_its_own() {
    let scene = Scene::new("from-inside").await;
    let (api, job, port) = (scene.service("api"), scene.service("job"), Scene::port());
    let bridge = Neighbour::new();
    let server = api.serves(port.number());
    tokio::time::sleep(RUNS).await;
    let number = port.number().to_string();
    let asks = [
        PYTHON,
        &program("ask.py"),
        &bridge.host(),
        &number,
        "/",
        "10",
        "40",
    ];
    let _client = job.run(&bridge.inside(&asks));
    tokio::time::sleep(RUNS).await;
    ask(port.number(), "/exit");
    server.ends().await;
    let is_api = |incident: &_| root(incident).label == "api" && tells_refused_by(incident, "api");
    scene
        .has_one("a crash of api, connections of job to api refused", is_api)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn an_address_of_ipv6_is_told_in_brackets() {
    let scene = Scene::new("brackets").await;
    let (job, port) = (scene.service("job"), Scene::port());
    let _client = job.asks_at("::1", port.number(), "/", 10, 30);
    let address = format!("[::1]:{}", port.number());
    let right = format!("connections of job to {address} refused");
    scene
        .has_one(&right, |incident| {
            tells_refused_by(incident, &address) && incident.narrative.contains(&address)
        })
        .await;
}

/// An id of a container.
fn id(digits: &str) -> String {
    digits.repeat(32)
}

/// The groups of a user's manager, as rootless podman uses them.
fn rootless(scene: &Scene) -> Service {
    let mut group = scene.service("user.slice");
    for below in ["user-1000.slice", "user@1000.service", "user.slice"] {
        group = group.below(below);
    }
    group
}

/// The processes of a rootless container.
fn container(of_user: &Service, id: &str) -> Service {
    of_user.below(&format!("libpod-{id}.scope")).below("container")
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn containers_of_one_user_are_called_as_podman_calls_them() {
    let scene = Scene::new("rootless").await;
    scene.host_file("etc/passwd", "ann:x:1000:1000::/home/ann:/bin/sh\n");
    let list = format!(
        r#"[{{"id":"{}","names":["front"]}},{{"id":"{}","names":["store"]}}]"#,
        id("c3"),
        id("d4")
    );
    let storage = "home/ann/.local/share/containers/storage/overlay-containers/containers.json";
    scene.host_file(storage, &list);
    let of_user = rootless(&scene);
    let (front, store, port) = (
        container(&of_user, &id("c3")),
        container(&of_user, &id("d4")),
        Scene::port(),
    );
    let server = store.serves(port.number());
    tokio::time::sleep(RUNS).await;
    let _client = front.asks(port.number(), "/", 20, 40);
    tokio::time::sleep(RUNS).await;
    ask(port.number(), "/exit");
    server.ends().await;
    let is_right = |incident: &_| {
        root(incident).label == "store" && names(incident, "front") && tells_refused_by(incident, "store")
    };
    scene
        .has_one(
            "a crash of store, connections of front to store refused",
            is_right,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn machines_are_called_by_their_names_and_a_units_own_name_stays() {
    let scene = Scene::new("machines").await;
    let (machines, port) = (scene.service("machine.slice"), Scene::port());
    let db = machines.below(r"machine-db\x2d1.scope").below("payload");
    let api = scene.service("system.slice").below("api.service");
    let server = db.serves(port.number());
    tokio::time::sleep(RUNS).await;
    let _client = api.asks(port.number(), "/", 20, 40);
    tokio::time::sleep(RUNS).await;
    ask(port.number(), "/exit");
    server.ends().await;
    let is_right = |incident: &_| root(incident).label == "db-1" && names(incident, "api");
    scene
        .has_one("a crash of db-1, connections of api to db-1 refused", is_right)
        .await;
}
