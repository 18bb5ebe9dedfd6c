//! Objects in, changes out: what is told once, and what is not told.

mod lists;
mod writers;

use bus_schema::entity::SERVICE_KIND;

use super::super::entries::tests::line;
use super::super::kinds::KINDS;
use super::super::signature::SECOND_NS;
use super::*;

/// The objects of one kind, and a clock.
struct Watched {
    objects: Objects,
    now_ns: u64,
}

impl Watched {
    fn new(kind: &str) -> Self {
        Self::with(kind, &SharedIndex::default())
    }

    /// One whose first list was empty.
    fn with(kind: &str, index: &SharedIndex) -> Self {
        let kind = KINDS.iter().find(|row| row.name == kind).unwrap();
        let mut watched = Self {
            objects: Objects::new(kind, SharedIndex::clone(index)),
            now_ns: 1000 * SECOND_NS,
        };
        assert_eq!(watched.list(&[]), Vec::<String>::new());
        watched
    }

    fn changes(&mut self, json: &str) -> Vec<Change> {
        self.objects.see(&object(json), self.now_ns)
    }

    fn see(&mut self, json: &str) -> Vec<String> {
        self.changes(json).iter().map(told).collect()
    }

    fn lose(&mut self, json: &str) -> Vec<String> {
        let changes = self.objects.lose(&object(json), self.now_ns);
        changes.iter().map(told).collect()
    }

    fn list(&mut self, objects: &[&str]) -> Vec<String> {
        self.objects.begin_list();
        let mut all: Vec<_> = objects.iter().flat_map(|json| self.see(json)).collect();
        all.extend(self.objects.end_list(self.now_ns).iter().map(told));
        all
    }
}

fn object(json: &str) -> Object {
    serde_json::from_str(json).unwrap()
}

/// A change on one line.
fn told(change: &Change) -> String {
    let late = if change.is_late { " late" } else { "" };
    let pods = if change.pods == Pods::Replaced {
        " pods"
    } else {
        ""
    };
    match &change.what {
        What::Image { container, old, new } => format!("Image {container} {old} -> {new}{late}{pods}"),
        What::Spec {
            action, differences, ..
        } => {
            let lines: Vec<_> = differences.iter().map(line).collect();
            format!("{action:?} [{}]{late}{pods}", lines.join("; "))
        }
    }
}

fn affected(change: &Change) -> Vec<String> {
    match &change.what {
        What::Spec { affected, .. } => affected.iter().map(ToString::to_string).collect(),
        What::Image { .. } => Vec::new(),
    }
}

fn deployment(generation: u32, image: &str, replicas: u32, note: &str) -> String {
    format!(
        r#"{{"metadata": {{"namespace": "shop", "name": "redis", "uid": "u", "generation": {generation}}},
            "spec": {{"replicas": {replicas}, "template": {{"metadata": {{"annotations": {{"restartedAt": "{note}"}}, "labels": {{"app": "redis"}}}},
            "spec": {{"containers": [{{"name": "redis", "image": "{image}", "envFrom": [{{"configMapRef": {{"name": "settings"}}}}]}}]}}}}}}}}"#
    )
}

fn config(uid: &str, value: &str, meta: &str) -> String {
    format!(
        r#"{{"metadata": {{"namespace": "shop", "name": "settings", "uid": "{uid}" {meta}}}, "data": {{"port": "{value}"}}}}"#
    )
}

#[test]
fn a_new_image_is_one_change_of_one_container() {
    let mut watched = Watched::new("Deployment");
    watched.list(&[&deployment(1, "redis:6", 1, "")]);
    watched.now_ns += 7;
    let changes = watched.changes(&deployment(2, "redis:7", 1, ""));
    assert_eq!(changes.len(), 1);
    assert_eq!(told(&changes[0]), "Image redis redis:6 -> redis:7 pods");
    assert_eq!(changes[0].time_ns, watched.now_ns);
    assert!(changes[0].pods == Pods::Replaced && changes[0].subject.is_workload);
    assert!(watched.see(&deployment(2, "redis:7", 1, "")).is_empty());
}

#[test]
fn other_replicas_are_no_other_pods_and_a_restart_is_a_change_without_a_difference() {
    let mut watched = Watched::new("Deployment");
    watched.list(&[&deployment(1, "redis:6", 1, "")]);
    assert_eq!(
        watched.see(&deployment(2, "redis:6", 0, "")),
        ["Changed [Replicas  : 1 -> 0]"]
    );
    assert_eq!(
        watched.see(&deployment(3, "redis:6", 0, "now")),
        ["Changed [] pods"]
    );
    assert_eq!(
        watched.see(&deployment(4, "redis:7", 2, "now")),
        [
            "Image redis redis:6 -> redis:7 pods",
            "Changed [Replicas  : 0 -> 2] pods"
        ]
    );
}

#[test]
fn a_template_that_was_seen_before_comes_back_as_a_rollback_however_soon() {
    let mut watched = Watched::new("Deployment");
    watched.list(&[&deployment(1, "redis:6", 1, "")]);
    let mut is_rollback = |json: &str| watched.changes(json).iter().any(|change| change.is_rollback);
    assert!(!is_rollback(&deployment(2, "redis:7", 1, "")));
    assert!(is_rollback(&deployment(3, "redis:6", 1, "")));
    assert!(!is_rollback(&deployment(4, "redis:6", 2, "")), "the same pods");
    assert!(!is_rollback(&deployment(5, "redis:8", 2, "")));
    let another = deployment(1, "redis:7", 1, "").replace(r#""uid": "u""#, r#""uid": "v""#);
    assert!(!is_rollback(&another), "another Deployment of its name");
}

#[test]
fn a_container_that_comes_is_told_with_its_image() {
    let mut watched = Watched::new("DaemonSet");
    let of = |generation: u32, containers: &str| {
        format!(
            r#"{{"metadata": {{"namespace": "shop", "name": "agent", "uid": "u", "generation": {generation}}},
                "spec": {{"template": {{"spec": {{"containers": [{containers}]}}}}}}}}"#
        )
    };
    let (one, two) = (
        r#"{"name": "a", "image": "a:1"}"#,
        r#"{"name": "b", "image": "b:1"}"#,
    );
    watched.list(&[&of(1, one)]);
    assert_eq!(
        watched.see(&of(2, &format!("{one}, {two}"))),
        ["Changed [Other b image: - -> b:1] pods"]
    );
    assert_eq!(
        watched.see(&of(3, two)),
        ["Changed [Other a image: a:1 -> -] pods"]
    );
}

#[test]
fn what_is_made_changed_and_deleted_is_told_once_each() {
    let mut watched = Watched::new("ConfigMap");
    assert_eq!(
        watched.see(&config("u", "1", "")),
        ["Created [Data  port: - -> ]"]
    );
    assert!(watched.see(&config("u", "1", "")).is_empty());
    assert_eq!(watched.see(&config("u", "2", "")), ["Changed [Data  port:  -> ]"]);
    assert_eq!(
        watched.lose(&config("u", "2", "")),
        ["Deleted [Data  port:  -> -]"]
    );
    assert!(watched.lose(&config("u", "2", "")).is_empty());
    assert_eq!(watched.see(&config("v", "2", "")).len(), 1, "another one");
}

#[test]
fn what_is_deleted_but_not_yet_finalised_is_told_once() {
    let mut watched = Watched::new("ConfigMap");
    let going = config("u", "1", r#", "deletionTimestamp": "1970-01-01T00:16:40Z""#);
    watched.see(&config("u", "1", ""));
    assert_eq!(watched.see(&going), ["Deleted [Data  port:  -> -]"]);
    assert!(watched.see(&going).is_empty());
    assert!(watched.list(&[&going]).is_empty());
    assert!(watched.lose(&going).is_empty());
    assert!(
        Watched::new("ConfigMap").see(&going).is_empty(),
        "seen for the first time"
    );
}

#[test]
fn who_reads_it_is_told_with_it() {
    let index = SharedIndex::default();
    let (mut deployments, mut configs) = (
        Watched::with("Deployment", &index),
        Watched::with("ConfigMap", &index),
    );
    deployments.see(&deployment(1, "redis:6", 1, ""));
    let changes = configs.changes(&config("u", "1", ""));
    assert_eq!(affected(&changes[0]), ["Deployment/shop/redis"]);
    let mut services = Watched::with(SERVICE_KIND, &index);
    let service = |app: &str| {
        format!(
            r#"{{"metadata": {{"namespace": "shop", "name": "redis", "uid": "s"}}, "spec": {{"selector": {{"app": "{app}"}}}}}}"#
        )
    };
    services.see(&service("redis"));
    let changes = services.changes(&service("reddis"));
    assert_eq!(
        affected(&changes[0]),
        ["Deployment/shop/redis"],
        "those that it no longer selects"
    );
    let changes = deployments.objects.lose(&object(&deployment(1, "", 1, "")), 9);
    assert!(affected(&changes[0]).is_empty());
    assert!(affected(&configs.changes(&config("u", "2", ""))[0]).is_empty());
}

#[test]
fn what_is_held_back_is_told_again_when_it_goes_on() {
    let deployment = |generation: u32, image: &str, paused: bool| {
        format!(
            r#"{{"metadata": {{"name": "redis", "namespace": "shop", "uid": "1", "generation": {generation}}}, "spec": {{"paused": {paused},
                "template": {{"spec": {{"containers": [{{"name": "c", "image": "{image}"}}]}}}}}}}}"#
        )
    };
    let mut watched = Watched::new("Deployment");
    watched.see(&deployment(1, "redis:6", true));
    let held = watched.changes(&deployment(2, "redis:7", true));
    assert_eq!(
        held.iter().map(told).collect::<Vec<_>>(),
        ["Image c redis:6 -> redis:7"]
    );
    assert!(held.iter().all(|change| change.pods == Pods::OfAnotherTemplate));
    assert_eq!(
        watched.see(&deployment(3, "redis:7", false)),
        [
            "Image c redis:6 -> redis:7 pods",
            "Changed [Rollout  paused: true -> false] pods"
        ]
    );
    watched.see(&deployment(4, "redis:7", true));
    watched.see(&deployment(5, "redis:8", true));
    watched.see(&deployment(6, "redis:7", true));
    assert_eq!(
        watched.see(&deployment(7, "redis:7", false)),
        ["Changed [Rollout  paused: true -> false]"],
        "it was taken back before"
    );
}
