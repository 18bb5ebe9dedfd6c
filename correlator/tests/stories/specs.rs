//! Changes of a spec other than an image: the one that was followed by trouble of its kind is the root, another is not.

use bus_schema::Severity;
use bus_schema::event::Body;
use bus_schema::event::kubernetes::{Aspect, Difference, SpecChanged};

use super::log::{Log, service};
use super::{MILLI, SECOND};

impl Log {
    fn respec(&mut self, at: u64, of: &str, aspect: Aspect, name: &str, values: [&str; 2]) {
        let [old, new] = values.map(|value| Some(value.to_owned()));
        let difference = Difference {
            aspect,
            container: of.into(),
            name: name.into(),
            old,
            new,
        };
        let change = SpecChanged {
            differences: vec![difference],
            generation: 2,
            manager: "kubectl".into(),
            ..SpecChanged::default()
        };
        self.add(at, Severity::Notice, service(of), None, Body::SpecChanged(change));
    }
}

/// The root of the first incident, and what its advice would type, when something follows that the gateway suffers from.
fn root(change: impl FnOnce(&mut Log), trouble: impl FnOnce(&mut Log)) -> Option<(String, String)> {
    let mut log = Log::default();
    log.healthy(0, 20);
    change(&mut log);
    trouble(&mut log);
    let incidents = log.replay();
    let first = incidents.first()?.id;
    let last = incidents.iter().rfind(|incident| incident.id == first)?;
    let root = last.root_cause()?;
    let command = last.recommendation.as_ref().map(|advice| advice.command.clone());
    Some((
        format!("{} {}", root.label, root.condition),
        command.unwrap_or_default(),
    ))
}

fn outage(log: &mut Log) {
    log.outage(20 * SECOND + 100 * MILLI, 10);
}

fn name_of(found: Option<(String, String)>) -> String {
    found.map(|(root, _)| root).unwrap_or_default()
}

#[test]
fn nobody_is_left_after_scaling_to_none_and_enough_after_scaling_up() {
    let scale = |to| move |log: &mut Log| log.respec(20 * SECOND, "cache", Aspect::Replicas, "", ["2", to]);
    let (none, command) = root(scale("0"), outage).unwrap();
    assert_eq!(none, "cache replicas_changed");
    assert!(command.ends_with("scale cgroup/cache --replicas=2"), "{command}");
    assert_ne!(name_of(root(scale("3"), outage)), "cache replicas_changed");
    assert_eq!(
        root(scale("0"), |log| log.healthy(20, 40)),
        None,
        "nobody called it"
    );
}

#[test]
fn a_caller_whose_environment_changed_calls_where_nobody_listens() {
    let set = |of: &'static str| {
        move |log: &mut Log| log.respec(20 * SECOND, of, Aspect::Environment, "CACHE_URL", ["", ""])
    };
    assert_eq!(
        name_of(root(set("gateway"), outage)),
        "gateway environment_changed"
    );
    assert_ne!(
        name_of(root(set("stranger"), outage)),
        "stranger environment_changed"
    );
}

#[test]
fn a_memory_limit_that_was_lowered_kills_and_no_other_change_of_a_limit_does() {
    let limit = |name: &'static str, values| {
        move |log: &mut Log| log.respec(20 * SECOND, "cache", Aspect::Resources, name, values)
    };
    let killed = |log: &mut Log| {
        log.oom(20 * SECOND + 90 * MILLI, "cache");
        outage(log);
    };
    let root_after = |name, values| name_of(root(limit(name, values), killed));
    assert_eq!(
        root_after("limits.memory", ["128Mi", "12Mi"]),
        "cache resources_changed"
    );
    assert_eq!(root_after("limits.memory", ["12Mi", "64Mi"]), "cache oom_kill");
    assert_eq!(root_after("limits.cpu", ["2", "1"]), "cache oom_kill");
}
