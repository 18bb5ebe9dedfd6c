//! What Kubernetes gets stuck in, and what people change in it besides workloads.

use bus_schema::entity::{Container, Pod, Workload};
use bus_schema::event::Body;
use bus_schema::event::kubernetes::{
    Action, Aspect, Difference, ImageChanged, ObjectState, Reason, SpecChanged, State,
};
use bus_schema::incident;
use bus_schema::{Entity, Incident, Severity};

use super::log::Log;
use super::replay::conditions;
use super::{MILLI, SECOND};

fn workload(name: &str) -> Workload {
    Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn deployment(name: &str) -> Entity {
    Entity::of_workload(workload(name))
}

pub(crate) fn pod(of: &str, number: u64) -> Entity {
    Entity {
        pod: Some(Pod {
            uid: format!("{of}-{number}"),
            namespace: "shop".into(),
            name: format!("{of}-{number}"),
        }),
        container: Some(Container {
            name: of.into(),
            ..Container::default()
        }),
        ..deployment(of)
    }
}

impl Log {
    fn state(&mut self, at: u64, subject: Entity, state: State, holds: bool, reason: Reason) {
        let told = ObjectState {
            state,
            holds,
            reason,
            since_ns: at,
            ..ObjectState::default()
        };
        self.add(at, Severity::Warning, subject, None, Body::ObjectState(told));
    }

    pub(crate) fn image(&mut self, at: u64, of: &str) {
        self.image_of(at, of, false);
    }

    /// Another image, which the pods get unless the rollout is `held` back.
    fn image_of(&mut self, at: u64, of: &str, held: bool) {
        let change = ImageChanged {
            container: of.into(),
            old_image: format!("{of}:1"),
            new_image: format!("{of}:2"),
            held,
            ..ImageChanged::default()
        };
        let subject = deployment(of);
        self.add(at, Severity::Notice, subject, None, Body::ImageChanged(change));
    }

    /// Something of an object is changed that reaches these workloads.
    fn object(&mut self, at: u64, object: (&str, &str), action: Action, aspect: Aspect, affected: &[&str]) {
        let difference = Difference {
            aspect,
            name: "url".into(),
            old: Some(String::new()),
            new: Some(String::new()),
            ..Difference::default()
        };
        let change = SpecChanged {
            differences: if action == Action::Changed {
                vec![difference]
            } else {
                Vec::new()
            },
            action,
            affected: affected.iter().map(|name| workload(name)).collect(),
            ..SpecChanged::default()
        };
        let subject = Entity::of_object(object.0, "shop", object.1);
        self.add(at, Severity::Notice, subject, None, Body::SpecChanged(change));
    }

    /// The gateway, which is `subject`, answers with errors for some seconds.
    pub(crate) fn errors_of(&mut self, at: u64, subject: &Entity, seconds: u64) {
        use bus_schema::event::network::Role;
        use bus_schema::event::status::{HttpError, HttpStats};
        for second in 1..=seconds {
            let stats = HttpStats {
                role: Role::Server,
                by_class: [0, 5, 0, 0, 95],
                ..HttpStats::default()
            };
            let end = (at / SECOND + second) * SECOND;
            self.add(end, Severity::Info, subject.clone(), None, Body::HttpStats(stats));
        }
        for tenth in 0..seconds * 10 {
            let error = HttpError {
                role: Role::Server,
                status: 500,
                latency_ns: 7,
                ..HttpError::default()
            };
            let moment = at + tenth * 100 * MILLI;
            let body = Body::HttpError(error);
            self.add(moment, Severity::Warning, subject.clone(), None, body);
        }
    }
}

fn root(incident: &Incident) -> String {
    let root = incident.root_cause().unwrap();
    format!("{} {}", root.label, root.condition)
}

/// A version whose image nobody has: its pod does not start for so long, and nobody calls it.
fn image_that_is_not_there(seconds: u64) -> Vec<Incident> {
    let mut log = Log::default();
    let end = 10 + seconds;
    log.healthy(0, end + 60);
    log.image(10 * SECOND, "api");
    let not_started = |log: &mut Log, at: u64, holds| {
        log.state(at, pod("api", 2), State::NotStarted, holds, Reason::ImageNotFound);
    };
    not_started(&mut log, 12 * SECOND, true);
    not_started(&mut log, end * SECOND, false);
    log.replay()
}

#[test]
fn what_cannot_start_is_an_incident_without_any_caller_as_long_as_that_lasts() {
    let incidents = image_that_is_not_there(360);
    let (first, last) = (incidents.first().unwrap(), incidents.last().unwrap());
    assert!(
        incidents.iter().all(|incident| incident.id == first.id),
        "one incident"
    );
    assert_eq!(root(first), "api image_changed");
    let seconds = |at: bus_schema::Timestamp| (at.as_ns() - 1_700_000_000 * SECOND) / SECOND;
    assert!((32..35).contains(&seconds(first.opened_at)), "after its patience");
    assert_eq!(last.state, incident::State::Resolved);
    assert!(seconds(last.updated_at) >= 370, "{}", seconds(last.updated_at));
    let resolved = incidents
        .iter()
        .filter(|incident| incident.state == incident::State::Resolved);
    assert_eq!(resolved.count(), 1, "it is over once");
}

#[test]
fn what_starts_within_the_patience_of_everybody_is_no_incident() {
    assert_eq!(image_that_is_not_there(10), []);
}

#[test]
fn a_state_is_over_when_the_last_pod_has_left_it() {
    let mut log = Log::default();
    log.healthy(0, 300);
    let looping = |log: &mut Log, at: u64, number, holds| {
        log.state(
            at * SECOND,
            pod("api", number),
            State::CrashLooping,
            holds,
            Reason::ExitedWithError,
        );
    };
    looping(&mut log, 10, 1, true);
    looping(&mut log, 11, 2, true);
    looping(&mut log, 60, 1, false);
    looping(&mut log, 200, 2, false);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    assert_eq!(last.state, incident::State::Resolved);
    assert!(last.updated_at.as_ns() >= (1_700_000_000 + 230) * SECOND);
    assert_eq!(last.steps[0].pods, ["api-1", "api-2"]);
}

/// What the errors of `api` come from, after a change of an object that reaches these.
fn root_after_change(object: (&str, &str), affected: &[&str]) -> String {
    let mut log = Log::default();
    log.healthy(0, 40);
    log.object(20 * SECOND, object, Action::Changed, Aspect::Data, affected);
    log.errors_of(22 * SECOND, &pod("api", 1), 15);
    root(log.replay().first().unwrap())
}

#[test]
fn a_changed_config_is_the_root_where_it_is_read_and_nowhere_else() {
    let settings = ("ConfigMap", "settings");
    assert_eq!(root_after_change(settings, &["api"]), "settings config_changed");
    assert_eq!(root_after_change(settings, &["stock"]), "api not_observed");
    assert_eq!(root_after_change(settings, &[]), "api not_observed");
}

/// Whether this change of a ConfigMap, before it was deleted, is suspected when its readers cannot start for this reason.
fn is_earlier_change_suspect(action: Action, reason: Reason) -> bool {
    let mut log = Log::default();
    log.healthy(0, 60);
    let settings = ("ConfigMap", "settings");
    log.object(5 * SECOND, settings, action, Aspect::Data, &["api"]);
    log.object(20 * SECOND, settings, Action::Deleted, Aspect::Data, &["api"]);
    let state = ObjectState {
        state: State::NotStarted,
        holds: true,
        reason,
        ..ObjectState::default()
    };
    let (missing, body) = (
        Entity::of_object("ConfigMap", "shop", "settings"),
        Body::ObjectState(state),
    );
    log.add(21 * SECOND, Severity::Warning, pod("api", 1), Some(missing), body);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert_eq!(root(last), "settings object_deleted");
    let mut rejected = last.rejected.iter().filter(|rejected| !rejected.excluded);
    rejected.any(|rejected| rejected.hypothesis == "change of ConfigMap settings")
}

#[test]
fn what_was_made_or_changed_is_not_missing_but_may_lack_a_key() {
    assert!(!is_earlier_change_suspect(
        Action::Created,
        Reason::ConfigMapMissing
    ));
    assert!(!is_earlier_change_suspect(
        Action::Changed,
        Reason::ConfigMapMissing
    ));
    assert!(is_earlier_change_suspect(Action::Changed, Reason::KeyMissing));
}

#[test]
fn a_full_quota_is_named_by_the_pods_that_cannot_be_created() {
    let mut log = Log::default();
    log.healthy(0, 60);
    let quota = ("ResourceQuota", "compute");
    log.object(5 * SECOND, quota, Action::Changed, Aspect::Bounds, &["api"]);
    let refused = ObjectState {
        state: State::NotCreated,
        holds: true,
        reason: Reason::QuotaExceeded,
        ..ObjectState::default()
    };
    let bound = Some(Entity::of_object("ResourceQuota", "shop", "compute"));
    let body = Body::ObjectState(refused);
    log.add(12 * SECOND, Severity::Warning, deployment("api"), bound, body);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert_eq!(root(last), "compute bounds_changed");
    assert!(conditions(last).contains(&("api", "not_created")));
}

/// When the command was changed by which a crash loop is explained, which begins so many seconds after a second change, and
/// whether the other change is suspected too.
fn crash_loop_after(second_takes_back: bool, seconds: u64) -> (u64, bool) {
    let mut log = Log::default();
    log.healthy(0, 120);
    let mut command = |at: u64, rollback| {
        let difference = Difference {
            aspect: Aspect::Command,
            name: "args".into(),
            old: Some(String::new()),
            new: Some(String::new()),
            ..Difference::default()
        };
        let change = SpecChanged {
            differences: vec![difference],
            rollback,
            ..SpecChanged::default()
        };
        let body = Body::SpecChanged(change);
        log.add(at * SECOND, Severity::Notice, deployment("api"), None, body);
    };
    command(10, false);
    command(20, second_takes_back);
    let (looping, why) = (State::CrashLooping, Reason::ExitedWithError);
    log.state((20 + seconds) * SECOND, pod("api", 2), looping, true, why);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert_eq!(root(last), "api command_changed");
    let changed = last.root_cause().unwrap().start.as_ns() / SECOND - 1_700_000_000;
    let mut rejected = last.rejected.iter();
    (
        changed,
        rejected.any(|rejected| rejected.hypothesis == "command of api"),
    )
}

#[test]
fn a_change_that_was_taken_back_causes_nothing_once_its_pods_are_replaced() {
    assert_eq!(crash_loop_after(false, 20), (20, true), "of equals the nearest");
    assert_eq!(
        crash_loop_after(true, 5),
        (10, true),
        "its pods may still be there"
    );
    assert_eq!(crash_loop_after(true, 40), (20, false));
}

/// Of each incident the last revision, after a change that reaches `api` and `stock`: one fails at once and the other minutes
/// later, a second after another change of its own, which is heard of only seconds after it fails.
fn after_common_change(is_another_heard_of: bool) -> Vec<Incident> {
    let mut log = Log::default();
    log.healthy(0, 400);
    let settings = ("ConfigMap", "settings");
    log.object(
        20 * SECOND,
        settings,
        Action::Changed,
        Aspect::Data,
        &["api", "stock"],
    );
    log.errors_of(22 * SECOND, &pod("api", 1), 330);
    log.errors_of(322 * SECOND, &pod("stock", 1), 15);
    if is_another_heard_of {
        log.image(321 * SECOND, "stock");
        log.0.last_mut().unwrap().observed_ns += 6 * SECOND;
    }
    let mut last = std::collections::BTreeMap::new();
    for incident in log.replay() {
        last.insert(incident.id, incident);
    }
    last.into_values().collect()
}

#[test]
fn an_incident_that_turns_out_to_be_two_is_parted() {
    let roots = |incidents: &[Incident]| incidents.iter().map(root).collect::<Vec<_>>();
    let together = after_common_change(false);
    assert_eq!(roots(&together), ["settings config_changed"]);
    let failing = [("api", "http_5xx"), ("stock", "http_5xx")];
    assert!(failing.iter().all(|step| conditions(&together[0]).contains(step)));
    let mut parted = after_common_change(true);
    assert!(
        parted.iter().any(|incident| incident.id == together[0].id),
        "the former goes on"
    );
    parted.sort_by_key(root);
    assert_eq!(roots(&parted), ["settings config_changed", "stock image_changed"]);
    for (incident, own, other) in [(&parted[0], 0, 1), (&parted[1], 1, 0)] {
        let steps = conditions(incident);
        assert!(
            steps.contains(&failing[own]) && !steps.contains(&failing[other]),
            "{steps:?}"
        );
    }
}

#[test]
fn an_image_that_no_pod_runs_is_no_cause() {
    let root_with = |held| {
        let mut log = Log::default();
        log.healthy(0, 60);
        log.image_of(10 * SECOND, "gateway", held);
        log.errors_of(20 * SECOND, &pod("gateway", 1), 20);
        root(&log.replay()[0])
    };
    assert_eq!(root_with(false), "gateway image_changed");
    assert_ne!(root_with(true), "gateway image_changed");
}
