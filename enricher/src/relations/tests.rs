//! What follows from what the API server tells, told once, with the times at which it was true.

mod history;
mod targets;

use bus_schema::topology::{ROUTES_TO, Related, SCALES};

use super::*;

const MINUTE_NS: u64 = 60 * 1_000_000_000;
/// When everything was made.
const MADE: u64 = 1_000 * MINUTE_NS;
const NOW: u64 = MADE + MINUTE_NS;

fn id(kind: &str, name: &str) -> Identity {
    Identity::new(kind, "shop", name)
}

fn deployment(name: &str) -> Identity {
    id("Deployment", name)
}

fn labels(app: &str) -> Labels {
    Labels::from([("app".to_owned(), app.to_owned())])
}

/// A pod of the first `ReplicaSet` of `app`, on the node `n1`.
fn pod(uid: &str, app: &str) -> PodRecord {
    PodRecord {
        uid: uid.into(),
        owner: Workload {
            kind: "ReplicaSet".into(),
            namespace: "shop".into(),
            name: format!("{app}-1"),
        },
        shape: Shape {
            labels: labels(app),
            mounts: BTreeSet::from([id("ConfigMap", "settings")]),
            refers_to: BTreeSet::from([id("Secret", "password")]),
        },
        node: Some(Identity::new("Node", "", "n1")),
        created_ns: MADE,
        has_ended: false,
    }
}

/// `ReplicaSet` `x-1` belongs to Deployment `x`.
fn top_of(owner: &Workload) -> Workload {
    let name = owner.name.rsplit_once('-').map_or(&*owner.name, |(name, _)| name);
    Workload {
        kind: "Deployment".into(),
        namespace: owner.namespace.clone(),
        name: name.into(),
    }
}

/// A store of which somebody listens who knows nothing.
fn store() -> Store {
    let mut store = Store::default();
    for kind in [
        "Pod",
        "Service",
        "Ingress",
        "ResourceQuota",
        "HorizontalPodAutoscaler",
    ] {
        store.list(kind);
    }
    store
}

/// The Service `front` selects the pods of `web`.
fn front_selects_web(store: &mut Store) {
    let selector = Selector::equal(&labels("web"));
    store.see_selector(id("Service", "front"), Some(selector), MADE, NOW);
}

/// The Ingress `entry` leads to this Service.
fn entry_routes_to(store: &mut Store, service: &str, now_ns: u64) {
    let to = BTreeSet::from([id("Service", service)]);
    store.see_targets(ROUTES_TO, &id("Ingress", "entry"), &to, MADE, now_ns);
}

fn messages(store: &mut Store, now_ns: u64) -> Vec<Relations> {
    store.resolve(top_of);
    store.derive(now_ns);
    store.take_untold(usize::MAX, now_ns)
}

/// One line a target of what is told at `now_ns`: times are minutes since everything was made.
fn told(store: &mut Store, now_ns: u64) -> Vec<String> {
    let minutes = |ns: u64| (ns - MADE) / MINUTE_NS;
    let line = |message: &Relations, target: &Related| {
        let until = target.until_ns.map(|until_ns| format!("..{}", minutes(until_ns)));
        format!(
            "{} {} {} {}{}",
            message.from.name,
            message.relation,
            target.to.name,
            minutes(target.since_ns),
            until.unwrap_or_default()
        )
    };
    let mut lines: Vec<_> = messages(store, now_ns)
        .iter()
        .flat_map(|message| message.targets.iter().map(move |target| line(message, target)))
        .collect();
    lines.sort();
    lines
}

const NOTHING: [&str; 0] = [];
