//! Objects as the API server gives them, through the whole account.

mod cluster;
mod nodes;
mod pods;
mod scheduling;
mod services;
mod workloads;

use bus_schema::event::kubernetes::{Reason, State};
use serde_json::{Value, json};

use super::*;
use crate::lifecycle::facts;
use crate::lifecycle::watch::SOURCES;

const SECOND_NS: u64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z, when everything begins.
const START_NS: u64 = 1_767_225_600 * SECOND_NS;

/// A world that is told of JSON, and what it has told.
struct Case {
    world: World,
    now_ns: u64,
    told: Vec<Transition>,
}

/// State, whether it holds, reason, and the object behind it.
type Line = (State, bool, Reason, String);

impl Case {
    /// One that watches an empty cluster.
    fn new() -> Self {
        let mut case = Self::starting();
        case.end_lists();
        case
    }

    /// One whose watches have not listed anything yet.
    fn starting() -> Self {
        Self {
            world: World::new(SOURCES),
            now_ns: START_NS,
            told: Vec::new(),
        }
    }

    fn end_lists(&mut self) {
        for source in SOURCES {
            self.apply(source, Change::Listed);
        }
    }

    fn apply(&mut self, source: Source, change: Change) {
        let told = self.world.apply(source, change, self.now_ns);
        self.told.extend(told);
    }

    fn see(&mut self, object: Value) {
        let (source, fact) = fact(object);
        if let Some(fact) = fact {
            self.apply(source, Change::Seen(Box::new(fact)));
        }
    }

    fn lose(&mut self, kind: Kind, name: &str) {
        let namespace = if kind == Kind::Node { "" } else { "shop" };
        self.apply(
            Source::Objects(kind),
            Change::Gone(Key::new(kind, namespace, name)),
        );
    }

    /// Time passes, step by step as its timers ask for it.
    fn wait(&mut self, seconds: u64) {
        let until_ns = self.now_ns + seconds * SECOND_NS;
        while self.world.wakes_ns() <= until_ns {
            self.now_ns = self.now_ns.max(self.world.wakes_ns());
            let told = self.world.tick(self.now_ns);
            self.told.extend(told);
        }
        self.now_ns = until_ns;
    }

    /// What was told since it was last asked.
    fn lines(&mut self) -> Vec<Line> {
        self.take()
            .into_iter()
            .map(|told| {
                let object = told.object.map(|object| object.key()).unwrap_or_default();
                (told.body.state, told.body.holds, told.body.reason, object)
            })
            .collect()
    }

    fn take(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.told)
    }
}

fn line(state: State, holds: bool, reason: Reason, object: &str) -> Line {
    (state, holds, reason, object.to_owned())
}

/// Seconds after the start, as the API writes it.
fn at(seconds: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(START_NS + seconds * SECOND_NS)).unwrap();
    at.to_string()
}

fn fact(object: Value) -> (Source, Option<Fact>) {
    fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap()
    }
    let kind = object["kind"].as_str().unwrap().to_owned();
    match kind.as_str() {
        "Pod" => (
            Source::Objects(Kind::Pod),
            Some(Fact::Pod(facts::Pod::of(&read(object)))),
        ),
        "Deployment" => (
            Source::Objects(Kind::Deployment),
            Some(Fact::Workload(facts::Workload::of_deployment(&read(object)))),
        ),
        "StatefulSet" => (
            Source::Objects(Kind::StatefulSet),
            Some(Fact::Workload(facts::Workload::of_stateful_set(&read(object)))),
        ),
        "DaemonSet" => (
            Source::Objects(Kind::DaemonSet),
            Some(Fact::Workload(facts::Workload::of_daemon_set(&read(object)))),
        ),
        "ReplicaSet" => {
            let meta = read(object["metadata"].clone());
            (
                Source::Objects(Kind::ReplicaSet),
                Some(Fact::ReplicaSet(facts::ReplicaSet::of(&meta))),
            )
        }
        "Job" => (
            Source::Objects(Kind::Job),
            Some(Fact::Job(facts::Job::of(&read(object)))),
        ),
        "Node" => (
            Source::Objects(Kind::Node),
            Some(Fact::Node(facts::Node::of(&read(object)))),
        ),
        "Service" => (
            Source::Objects(Kind::Service),
            Some(Fact::Service(facts::Service::of(&read(object)))),
        ),
        "EndpointSlice" => (
            Source::Objects(Kind::Slice),
            Some(Fact::Slice(facts::Slice::of(&read(object)))),
        ),
        "PersistentVolumeClaim" => (
            Source::Objects(Kind::Claim),
            Some(Fact::Claim(facts::Claim::of(&read(object)))),
        ),
        "Event" => (Source::Warnings, facts::Hint::of(&read(object)).map(Fact::Hint)),
        other => panic!("{other}"),
    }
}

/// A pod of the Deployment `web`, created at the start, with these parts of its status.
fn pod(status: &Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "pod-1", "creationTimestamp": at(0), "labels": {"app": "web"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-a", "uid": "set", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 80}]}]},
        "status": status,
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, since: u64) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(since)})
}

/// The status of a pod with one container in that state.
fn status(phase: &str, is_ready: bool, state: &Value, restarts: i32, last: &Value) -> Value {
    let ready = if is_ready { "True" } else { "False" };
    json!({
        "phase": phase,
        "conditions": [
            condition("PodScheduled", "True", "", "", 0),
            condition("PodReadyToStartContainers", "True", "", "", 1),
            condition("ContainersReady", ready, "", "", 3),
            condition("Ready", ready, "ContainersNotReady", "", 3),
        ],
        "containerStatuses": [{
            "name": "web", "image": "web:1", "imageID": "", "ready": is_ready, "started": true, "restartCount": restarts,
            "state": state, "lastState": last,
        }],
    })
}

fn running(since: u64) -> Value {
    json!({"running": {"startedAt": at(since)}})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

fn ended(code: i32, reason: &str, from: u64, to: u64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": at(from), "finishedAt": at(to)}})
}

fn event(uid: &str, reason: &str, message: &str, count: i32, first: u64, last: u64) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"uid": uid, "fieldPath": "spec.containers{web}"}, "reason": reason, "message": message, "count": count,
        "firstTimestamp": at(first), "lastTimestamp": at(last),
    })
}
