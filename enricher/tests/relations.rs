//! Relations on a real nats-server, told by one of several enrichers, which come and go.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "relations/member.rs"]
mod member;
#[path = "../../bus/client/tests/harness/server.rs"]
#[expect(dead_code, reason = "these tests do not stop the server")]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus_client::{Bus, streams, topology};
use bus_schema::Relations;
use bus_schema::entity::{Identity, Workload};
use bus_schema::names::{TOPOLOGY_STREAM, TOPOLOGY_TIME};
use bus_stage::clock::now_ns;
use enricher::relations::{PodRecord, Selector, Shape, Store};

use member::Member;
use server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

fn pod(app: &str, config: &str) -> PodRecord {
    let named = |kind: &str, name: &str| Identity::new(kind, "shop", name);
    PodRecord {
        uid: format!("{app}-uid"),
        owner: Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: app.into(),
        },
        shape: Shape {
            labels: BTreeMap::from([("app".into(), app.into())]),
            mounts: BTreeSet::from([named("ConfigMap", config)]),
            refers_to: BTreeSet::new(),
        },
        node: Some(Identity::new("Node", "", "n1")),
        created_ns: now_ns(),
        has_ended: false,
    }
}

/// What a cluster with two workloads and a Service before one of them tells.
fn cluster(store: &mut Store) {
    store.see_pod(pod("web", "settings"), now_ns());
    store.see_pod(pod("db", "settings"), now_ns());
    let selector = Selector::equal(&BTreeMap::from([("app".into(), "web".into())]));
    let service = Identity::new("Service", "shop", "front");
    store.see_selector(service, Some(selector), now_ns(), now_ns());
    for kind in ["Pod", "ReplicaSet", "Job", "Service"] {
        store.list(kind);
    }
}

/// The stream's messages by sequence, and where the time was told last.
async fn held(bus: &Bus) -> (BTreeMap<u64, Relations>, u64) {
    let (mut relations, mut time) = (BTreeMap::new(), 0);
    for message in topology::newest(bus).await.unwrap() {
        if message.subject == TOPOLOGY_TIME {
            time = message.sequence;
        } else {
            relations.insert(message.sequence, Relations::decode(&message.payload).unwrap());
        }
    }
    (relations, time)
}

/// `from relation to`, with a mark behind what has ended.
fn lines(relations: &BTreeMap<u64, Relations>) -> Vec<String> {
    let targets = relations.values().flat_map(|message| {
        message.targets.iter().map(move |target| {
            let mark = if target.until_ns.is_some() { " ended" } else { "" };
            format!(
                "{} {} {}{mark}",
                message.from.name, message.relation, target.to.name
            )
        })
    });
    let mut lines: Vec<_> = targets.collect();
    lines.sort();
    lines
}

/// Waits until the stream holds these, and gives what it holds.
async fn wait_for(bus: &Bus, expected: &[&str]) -> BTreeMap<u64, Relations> {
    let mut seen = Vec::new();
    let waiting = async {
        loop {
            let (relations, _) = held(bus).await;
            seen = lines(&relations);
            if seen == expected {
                return relations;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| unreachable!("expected {expected:?}, the stream holds {seen:?}"))
}

/// Waits until the time was told by somebody else than before, who has then told everything.
async fn wait_for_time_after(bus: &Bus, before: u64) -> u64 {
    let waiting = async {
        loop {
            let (_, time) = held(bus).await;
            if time > before {
                return time;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

async fn ready() -> (Server, Bus) {
    let server = Server::start();
    let bus = server.connect().await;
    streams::provision(&bus, 1).await.unwrap();
    (server, bus)
}

const ALL: [&str; 5] = [
    "db mounts settings",
    "db runs_on n1",
    "front selects web",
    "web mounts settings",
    "web runs_on n1",
];

#[tokio::test]
async fn one_of_several_tells_and_who_takes_over_tells_only_what_changed() {
    let (server, bus) = ready().await;
    let first = Member::start(&server, "first").await;
    first.related.change(cluster);
    let told = wait_for(&bus, &ALL).await;
    let time = wait_for_time_after(&bus, 0).await;
    let second = Member::start(&server, "second").await;
    second.related.change(cluster);
    // The second one, which knows of a change that the first does not, has no say.
    second.related.change(|store| store.lose_pod("db-uid"));
    first
        .related
        .change(|store| store.see_pod(pod("web", "other"), now_ns()));
    let changed = ["web mounts other", "web mounts settings ended"];
    let expected = [&ALL[..3], &changed, &ALL[4..]].concat();
    let changed = wait_for(&bus, &expected).await;
    assert_eq!(changed.len(), told.len(), "the newest of each subject is kept");
    second
        .related
        .change(|store| store.see_pod(pod("web", "other"), now_ns()));
    let time = time.max(held(&bus).await.1);
    first.end().await;
    let ended = ["db mounts settings ended", "db runs_on n1 ended"];
    let after = wait_for(&bus, &[&ended, &expected[2..]].concat()).await;
    wait_for_time_after(&bus, time).await;
    assert_eq!(held(&bus).await.0, after, "and nothing else");
    let kept = |sequence: &u64| !after.contains_key(sequence);
    let written_again: Vec<_> = changed.iter().filter(|(sequence, _)| kept(sequence)).collect();
    assert!(
        written_again.iter().all(|(_, message)| message.from.name == "db") && written_again.len() == 2,
        "{written_again:?}"
    );
    for (sequence, message) in &after {
        let is_same = changed.get(sequence).is_none_or(|before| before == message);
        assert!(is_same, "{message:?}");
    }
    second.end().await;
}

#[tokio::test]
async fn a_restart_writes_nothing_and_what_was_deleted_meanwhile_has_ended() {
    let (server, bus) = ready().await;
    let first = Member::start(&server, "first").await;
    first.related.change(cluster);
    wait_for(&bus, &ALL).await;
    let time = wait_for_time_after(&bus, 0).await;
    first.end().await;
    let (before, _) = held(&bus).await;
    let again = Member::start(&server, "again").await;
    again.related.change(cluster);
    let time = wait_for_time_after(&bus, time).await;
    assert_eq!(held(&bus).await.0, before, "nothing was written");
    again.end().await;
    let last = Member::start(&server, "last").await;
    last.related.change(|store| {
        cluster(store);
        store.lose_selector(&Identity::new("Service", "shop", "front"), now_ns());
    });
    let expected = [&ALL[..2], &["front selects web ended"], &ALL[3..]].concat();
    wait_for(&bus, &expected).await;
    wait_for_time_after(&bus, time).await;
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await.unwrap();
    assert_eq!(
        stream.cached_info().state.messages,
        6,
        "one a subject, and the time"
    );
    last.end().await;
}

#[tokio::test]
async fn nothing_is_told_before_pods_and_their_controllers_are_listed() {
    let (server, bus) = ready().await;
    let member = Member::start(&server, "first").await;
    member.has_role().await;
    let web = Workload {
        kind: "ReplicaSet".into(),
        namespace: "shop".into(),
        name: "web-1".into(),
    };
    member.related.change(|store| {
        let owner = web.clone();
        store.see_pod(
            PodRecord {
                owner,
                ..pod("web", "settings")
            },
            now_ns(),
        );
        store.list("Pod");
    });
    let derived = async {
        while member.related.with(|store| store.count()) == 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    tokio::time::timeout(PATIENCE, derived).await.unwrap();
    member
        .topology
        .write()
        .unwrap()
        .see_owner(web.clone(), pod("web", "settings").owner);
    member.related.change(|store| {
        store.see_owner(&web);
        store.list("ReplicaSet");
        store.list("Job");
    });
    let ended = ["web-1 mounts settings ended", "web-1 runs_on n1 ended"];
    let all = [&["web mounts settings", "web runs_on n1"], &ended[..]].concat();
    wait_for(&bus, &all).await;
    wait_for_time_after(&bus, 0).await;
    let stream = bus.jetstream().get_stream(TOPOLOGY_STREAM).await.unwrap();
    assert_eq!(
        stream.cached_info().state.last_sequence,
        5,
        "each once, and the time: nothing was told before"
    );
    member.end().await;
}
